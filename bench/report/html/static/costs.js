section("costs", "Costs", plainSection);
