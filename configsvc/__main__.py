from configsvc.cli import main

main()
