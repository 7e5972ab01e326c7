section("runtimes", "Runtimes", plainSection);
