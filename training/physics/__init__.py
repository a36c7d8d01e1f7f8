"""How scanners make images worse, beyond `MedEnhanceLib.acquisition`: one effect a file."""
