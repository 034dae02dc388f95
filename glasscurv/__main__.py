"""``python -m glasscurv`` is the command ``glasscurv``."""

from glasscurv.cli import main

if __name__ == "__main__":
    main()
