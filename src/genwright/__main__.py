from genwright.cli.app import main

main()
