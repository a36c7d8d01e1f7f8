"""``python -m MedEnhanceLib.cli``, where the console script is not on the path."""

from MedEnhanceLib.cli.main import main

if __name__ == "__main__":
    main()
