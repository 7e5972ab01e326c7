section("sensitivity", "Learning rates", plainSection);
