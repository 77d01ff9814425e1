"""Recommend films to people nobody has seen, from a catalogue nobody has clicked.

python examples/quickstart.py
"""

import coldstart as cs

films = cs.datasets.films()
print(f"{films}\nNot one click, not one rating: only titles, genres and a sentence about each film.\n")

rec = cs.Recommender().fit(films)

print("1. Somebody new says what they want.\n")
for wish in (
    "a funny film",
    "a lonely mission in deep space",
    "a movie for my kids",
    "something like Alien but not in space",
    "a war film, not about Vietnam",
):
    print(f"'{wish}'\n{rec.recommend(wish, k=5)}\n")

likes = ["seven-samurai-1954", "the-good-the-bad-and-the-ugly-1966", "once-upon-a-time-in-the-west-1968"]
print("2. Somebody new likes", ", ".join(likes))
print(rec.recommend(history=likes, k=5), "\n")

print("3. The same person, tonight: 'a comedy', and nothing after 1980")
print(rec.recommend("a comedy", history=likes, where={"year": ("<", 1980)}, k=5), "\n")

new = {
    "film_id": "the-last-relay",
    "title": "The Last Relay",
    "genres": "science fiction, drama",
    "description": "A technician keeps a fading radio relay alive at the edge of the solar system, far from anyone.",
}
rec.add_items([new])
print("4. A film is added a moment ago; nothing is trained again. 'someone keeps a radio running far from Earth':")
print(rec.recommend("someone keeps a radio running far from Earth", k=3), "\n")
print("   and what is like it:")
print(rec.similar_items("the-last-relay", k=3), "\n")

print("5. Somebody of whom nothing is known: films that together cover the catalogue")
print(rec.recommend(k=5), "\n")

print("6. And where nothing fits, the list says so: 'asdf qwertz'")
print(rec.recommend("asdf qwertz", k=3), "\n")

print(
    "Why it works without clicks: a pretrained language model has read what the words mean. Each film, each\n"
    "query and each person's likes become vectors in one space, and what lies near is recommended. Clicks, when\n"
    "they come, teach the recommender more: rec.fit(films, clicks)."
)
