"""Run notebooks and store their outputs: ``python -m pedclip.notebook notebooks/03_pretrain.ipynb``."""

from pedclip.notebook.execute import main

if __name__ == "__main__":
    main()
