from genwright.cli import main

main()
