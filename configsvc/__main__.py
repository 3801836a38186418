from configsvc.cli.server import main

main()
