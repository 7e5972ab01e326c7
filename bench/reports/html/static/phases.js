section("phases", "Did each phase help", plainSection);
