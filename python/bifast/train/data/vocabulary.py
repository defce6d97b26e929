"""Words that synthetic voices speak so that a net learns how words differ; 955 of them, one class each.

Common English words of one to four syllables and phrases of two words, all shorter than a second. None of
the words that the project's recordings of wake words hold (alexa, computer, jarvis, snowboy, smart mirror,
view glass), and none of their parts: own words are measured on those (docs/enroll.md).
"""

from __future__ import annotations

VOCABULARY = """
about above accept account across action active actor address adventure advice after again against age agree
airplane airport alarm album alligator allow almost alone already also always amazing amber america among
anchor angel angry animal another answer any anyone apple april area argue arm army around arrive arrow
artist asleep attack august autumn avenue avocado away baby backpack bacon bagel balance balloon banana
banker barbara basket battery beach beautiful because become bedroom before begin behind believe belong
below benefit beside better between beyond bicycle big-apple biscuit black blanket blossom blue blue-sky
boat body border borrow both bottle bottom bowl bracelet brain branch bread breakfast bridge bright bring
broken brother brown bubble bucket budget build bumblebee business butter button buzz cabin cable cactus
calendar calm camera camp canada candle candy captain carbon careful carpet carry castle ceiling celery
center chain chair chamber champion change channel charge charlie cheese cherry chicken children chocolate
choice church circle city clarity classic clean clever climate climb clock close clothes cloud clover
coconut coffee collect college colour comfort common company concert condition consider contact continue
control cookie cool copper corner cotton cough country couple courage cousin cover crayon cream credit
cricket crisis cross crystal cucumber culture curious curtain cushion daily damage dance danger daughter
david dawn december decide deep deliver demand desert design detail develop diamond dictionary difference
dinner direction discover distance doctor dolphin domino donkey door double doubt downtown dragon dream
dress drink drive duck dust dynamo each early earth easy echo economy edge education effort elbow electric
elephant eleven emerald emma emotion empty energy engine enjoy enough enter envelope equal escape evening
ever every evidence exactly example excellent except exchange exciting exercise expect explain express extra
eye fabric factory falcon family famous fantastic farmer fashion father favourite feather february festival
fever fiction field fifteen figure film final finger finish fire fish flame flavour flight floor flower
folder food football forest forever forget forgive fork fortune forty fountain fox fraction freedom fresh
fresh-bread friday friend frog frozen fruit fuel funny future gallery game garage garden garlic gather
general gentle george giant ginger giraffe give glory gloves golden good-luck good-morning good-night
gorilla government grammar grandmother grape gravity great green grocery ground group guess guitar gym hair
half hammer hand handle happen harbour harmony hat have hazel health heart heaven heavy helicopter hello
help hero hey-friend hey-mary hidden history hobby holiday hollow home honest honey hope horizon horse
hospital hot-tea hotel hour hundred hungry hurry husband ice-cream idea image imagine important increase
india industry information insect inside instead interest internet invite iron island ivory jacket january
jasmine jealous jelly jewel job john journey joy judge juice july jump june jungle junior just justice
kangaroo keep kettle keyboard kick kind king kitchen kitten knee knife knock knowledge koala label ladder
lady lake lamp language large laser later laugh lavender lawyer lazy leader leather leave legend lemon
lemonade letter level library light lightning lights-out lily lion liquid listen little lizard lobster
london long look lottery love lucky lumber lunch luxury lyric machine magazine magic magnet make manager
mango many marble march maria market marriage master matter maybe meadow meaning measure meat medicine
melody member memory message metal middle midnight milk million mineral minute miracle mistake model modern
moment monday money monkey monster month moon morning mother motion motor mountain mouse movie muffin museum
music mustard mystery name napkin narrow nation nature navy near necklace neighbour nephew nervous never new
next-song nickel night ninety noble noise normal north notebook nothing notice november number nurse nutmeg
oak object ocean october octopus offer office often oil ok-robot old old-friend olive olympic omega onion
only open opinion orange orchestra order ordinary oregano organ other otter outside oven over owl oxygen
oyster package paint palace pancake panda panther paper parade pardon parent parrot party passenger password
pasta patient pattern peace peacock peanut pencil penguin people pepper perfect person phantom phone photo
piano picnic picture pillow pilot pineapple pink pirate pizza planet plastic play play-music please pocket
poem poetry point police polite popcorn popular position possible potato powder power practice present
pretty price prince prison private problem produce promise protect proud public pudding pumpkin puppy purple
purpose puzzle pyramid quality quarter queen question quick quiet quilt rabbit radar radio rain rainbow
raven reach ready reason record red red-car regular relax remember report rescue rest reward rhythm ribbon
rice river robin robot rocket rosemary rough round royal rubber rugby ruler running saddle sailor salad
salmon salt sand sandwich satellite saturday sausage save school science scissors season second secret
seventeen shadow shampoo shelter shine shoe shopping short shoulder shower silver simple sister
sixteen size sky sleep slow small smile smooth soccer social sofa soft soldier solution someday song soup
south space spaghetti sparrow special spider spirit sponge spring square squirrel stadium stand-still
standard start-now station steady stomach stone story strange strawberry street strong student subject
sudden sugar summer sunday sunshine supper surprise swallow sweater sweet swim symbol system table tailor
talk target taxi teacher team telephone television temple tennis terrible texas thank-you theater theory
thing think thirsty thirteen thousand thunder thursday ticket tiger timber time tiny title toast today
together tomato tomorrow tongue tooth topic tornado tower town traffic train travel treasure triangle
trouble truck trumpet trust tuesday tulip tunnel turkey turn-left turtle twelve twenty twist ugly umbrella
uncle under uniform unique universe until upstairs useful usual vacation valley value vanilla vegetable
velvet very victory video village vinegar violet violin visit vitamin vocal voice volcano volume wagon
waiter wake-up walk wallet walnut walrus water watermelon wave weather wednesday week weekend welcome
well-done west whale wheel whisper whistle white wicked wide wild window winter wisdom without wizard wonder
wood word work world worry wrong yard year yellow yesterday yogurt young zebra zipper zodiac
""".split()  # noqa: SIM905 (a line for each would be nine hundred)
