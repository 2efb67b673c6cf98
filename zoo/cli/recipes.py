"""`zoo recipes`: which recipes there are, and what can be set."""

from __future__ import annotations

import json

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option


@click.command()
@click.argument("name", required=False)
@json_option
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes, or the settings of the recipe NAME with their defaults.

    `zoo train NAME DATA -o DIR --set SETTING=VALUE` trains with other settings.
    """
    from zoo.recipes import find_recipe, recipe_names

    if name is None:
        found = [find_recipe(known) for known in recipe_names()]
        rows = [(recipe.name, recipe.summary) for recipe in found]
        if as_json:
            printing.print_json([{"name": known, "summary": told} for known, told in rows])
            return
        printing.print_table("", ("recipe", "what it makes"), rows)
        return
    recipe = find_recipe(name)
    settings = recipe.describe()
    if as_json:
        told = [{"name": s.name, "default": s.default, "meaning": s.meaning} for s in settings]
        printing.print_json({"name": name, "summary": recipe.summary, "settings": told})
        return
    lines = [(s.name, json.dumps(s.default), s.meaning) for s in settings]
    printing.print_table(recipe.summary, ("setting", "default", "meaning"), lines)
