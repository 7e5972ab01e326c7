section("phases", "Phases", plainSection);
