from fairlead.surfaces.cli import main

main(prog_name="fairlead")
