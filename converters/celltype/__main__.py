"""`python -m converters.celltype`: the build of `pbmc-celltype`."""

from converters.celltype.pbmc.build import main

if __name__ == "__main__":
    main()
