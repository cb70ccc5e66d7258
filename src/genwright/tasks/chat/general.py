"""General instructions with answers, in the manner of the assistants that weights to start from were trained to be.

Written for one purpose: what they cost a model before and after it was trained on other conversations is what it forgot. They are
fixed, so that numbers of different runs compare; a change needs a new `VERSION`.
"""

from __future__ import annotations

VERSION = 1

TITLE = "32 general instructions with answers, written for this measurement (genwright.tasks.chat.general, version 1)"

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "What is the capital of France?",
        "The capital of France is Paris. It lies on the river Seine in the north of the country and has been its capital for most of "
        "the time since the Middle Ages.",
    ),
    (
        "Explain photosynthesis in two sentences.",
        "Photosynthesis is the process by which plants, algae and some bacteria use the energy of sunlight to turn water and carbon "
        "dioxide into sugar. Oxygen is released as a by-product, and the sugar serves the plant as food and building material.",
    ),
    (
        "Write a short poem about autumn.",
        "The leaves let go in red and gold,\nThe morning air is crisp and cold,\nA quiet rain, a smoky sky,\nThe geese in lines go "
        "calling by.",
    ),
    (
        "How do I boil an egg?",
        "Put the egg in a pot of boiling water. For a soft yolk, cook it for six minutes; for a hard one, cook it for ten. Then cool it in "
        "cold water for a minute, which also makes it easier to peel.",
    ),
    (
        "What is the difference between weather and climate?",
        "Weather is what the atmosphere does at a certain place and time, such as rain this afternoon. Climate is the average of the "
        "weather over many years, usually thirty.",
    ),
    (
        "Summarize the plot of Romeo and Juliet.",
        "Two young people from feuding families in Verona fall in love and marry in secret. After a duel Romeo is banished, and a plan to "
        "reunite them fails when a message is lost. Both die, and their deaths bring the families to make peace.",
    ),
    (
        "Translate 'Good morning, how are you?' into Spanish.",
        "In Spanish, 'Good morning, how are you?' is 'Buenos días, ¿cómo estás?' In a formal setting you would say '¿cómo está usted?'",
    ),
    (
        "Give me three tips for sleeping better.",
        "1. Go to bed and get up at the same time every day.\n2. Avoid bright screens and coffee in the evening.\n3. Keep your bedroom "
        "dark, quiet and cool.",
    ),
    (
        "What is 17 times 6?",
        "17 times 6 is 102. You can see it by multiplying 10 by 6, which is 60, and 7 by 6, which is 42, and adding the two.",
    ),
    (
        "Why is the sky blue?",
        "Sunlight is a mixture of all colors. The molecules of the air scatter short wavelengths, such as blue, much more strongly than long "
        "ones, such as red, so that blue light reaches our eyes from every direction.",
    ),
    (
        "Write a Python function that adds two numbers.",
        "Here is a function that adds two numbers:\n\n```python\ndef add(a, b):\n    return a + b\n```\n\nFor example, add(2, 3) returns 5.",
    ),
    (
        "What are the primary colors?",
        "In painting, the primary colors are traditionally red, yellow and blue. For light, as on a screen, they are red, green and blue.",
    ),
    (
        "Write a polite email asking a colleague for a meeting.",
        "Subject: Meeting this week?\n\nDear Anna,\n\nI would like to talk with you about the plan for the next quarter. Would you have half an "
        "hour on Thursday or Friday? Please let me know what suits you best.\n\nKind regards,\nTom",
    ),
    (
        "Who wrote 'Pride and Prejudice'?",
        "'Pride and Prejudice' was written by the English novelist Jane Austen and was first published in 1813.",
    ),
    (
        "How does a vaccine work?",
        "A vaccine shows the immune system a harmless part or a weakened form of a germ. The body learns to recognize it and keeps memory "
        "cells, so that it can respond quickly when the real germ arrives.",
    ),
    (
        "Name three countries in South America.",
        "Three countries in South America are Brazil, Argentina and Peru.",
    ),
    (
        "What is the largest planet in our solar system?",
        "The largest planet in our solar system is Jupiter. It is a gas giant, more than eleven times as wide as the Earth, and has dozens "
        "of moons.",
    ),
    (
        "Correct this sentence: 'She don't like apples.'",
        "The correct sentence is: 'She doesn't like apples.' The verb must agree with the third person singular subject 'she'.",
    ),
    (
        "What should I pack for a day hike?",
        "Take enough water, some food, a map or a charged phone, a rain jacket, sunscreen and a small first aid kit. Wear sturdy shoes, and tell "
        "somebody where you are going.",
    ),
    (
        "Explain what a computer algorithm is to a child.",
        "An algorithm is like a recipe. It tells the computer, step by step, what to do, just as a recipe tells you how to bake a cake. If you "
        "follow the steps in the right order, you get the right result.",
    ),
    (
        "What causes the seasons?",
        "The seasons are caused by the tilt of the Earth's axis. As the Earth moves around the Sun, first one half of the planet is tilted "
        "towards the Sun and has summer, and half a year later the other one.",
    ),
    (
        "Give me a synonym for 'happy'.",
        "A synonym for 'happy' is 'cheerful'. Others are 'glad', 'joyful' and 'content'.",
    ),
    (
        "How many minutes are there in a day?",
        "There are 1,440 minutes in a day: 24 hours times 60 minutes.",
    ),
    (
        "What is the main idea of supply and demand?",
        "When people want more of something than there is, its price tends to rise; when there is more of it than people want, its price "
        "tends to fall. The price settles where the two are in balance.",
    ),
    (
        "Suggest a simple dinner with pasta.",
        "Cook spaghetti in salted water. Meanwhile, warm olive oil with sliced garlic and a pinch of chili. Toss the drained pasta in the oil, "
        "add chopped parsley and grated cheese, and serve at once.",
    ),
    (
        "What is the boiling point of water?",
        "At sea level, water boils at 100 degrees Celsius, or 212 degrees Fahrenheit. Higher up, where the air pressure is lower, it boils at a "
        "lower temperature.",
    ),
    (
        "Tell me a joke.",
        "Why did the scarecrow win an award? Because he was outstanding in his field.",
    ),
    (
        "What is the purpose of the heart?",
        "The heart is a muscle that pumps blood through the body. The blood carries oxygen and nutrients to the organs and takes carbon dioxide "
        "and other waste away.",
    ),
    (
        "Write the opening sentence of a mystery story.",
        "The clock in the hall had stopped at a quarter past three, and so, it seemed, had the heart of Mr. Ellery.",
    ),
    (
        "What are the benefits of regular exercise?",
        "Regular exercise strengthens the heart and the muscles, helps to control weight, improves sleep and mood, and lowers the risk of many "
        "diseases. Even a brisk walk of thirty minutes a day makes a difference.",
    ),
    (
        "Convert 5 kilometers to miles.",
        "5 kilometers are about 3.1 miles, because one kilometer is about 0.62 miles.",
    ),
    (
        "How can I learn a new language?",
        "Practice a little every day, learn the most common words first, and listen to the language as often as you can. Speak from the "
        "beginning, even with mistakes, and look for somebody to talk with.",
    ),
)


def conversations(most: int = len(PAIRS)) -> list[list[dict[str, str]]]:
    """The pairs, or the first so many, as messages."""
    return [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": said}] for asked, said in PAIRS[:most]
    ]
