"""Measuring models against a known truth, always in the same way.

A good volume is made worse in a known manner (`MedEnhanceLib.acquisition`), every method repairs
it, and the results are compared with the good one. ``methods`` says what a method is: models and
classical filters come from the catalogue, programs of others (dipy, ANTs, BM4D, the "bench"
extra) from ``peers``.
"""
