section("robustness", "Robustness", plainSection);
