"""How the API reference shows what its reader, who reads source text, cannot know: settings and factories."""

import ast
from typing import Any

import griffe

_FACTORY = "made by `"


class Reference(griffe.Extension):
    """A field that `setting` or `default` makes has that default; a class that a function makes has no signature."""

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Change what a class shows, before its constructor is made of its fields."""
        helps = {}
        for name, attribute in cls.attributes.items():
            call = attribute.value
            if not isinstance(call, griffe.ExprCall):
                continue
            given = [value for value in call.arguments if not isinstance(value, griffe.ExprKeyword)]
            if str(call.function) == "default":
                attribute.value = given[1]
            elif str(call.function).endswith("setting") and given:
                attribute.value = given[0]
                if len(given) > 1 and isinstance(given[1], str):
                    helps[name] = str(ast.literal_eval(given[1]))
        if cls.docstring is None:
            return
        if helps and "Attributes:" not in cls.docstring.value:
            lines = (f"    {name}: {text}" for name, text in helps.items() if text)
            cls.docstring.value += "\n\nAttributes:\n" + "\n".join(lines)
        if _FACTORY in cls.docstring.value:
            cls.members.pop("__init__", None)
            cls.decorators.clear()  # by which a dataclass would get one
