from configsvc.cli.main import main

main()
