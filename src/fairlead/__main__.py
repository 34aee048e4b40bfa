from fairlead.surfaces.cli import main

main()
