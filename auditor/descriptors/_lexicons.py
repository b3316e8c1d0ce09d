"""Small frozen word lists of the text describer. They are indicators, not judges: a change of a share is a signal.

A changed word changes figures: raise the describer's version with it.
"""

# ruff: noqa: SIM905
from __future__ import annotations

FUNCTION_WORDS: dict[str, str] = {
    "en": "the of and to in is that it was for on are with as his they at be this from have or by one had not but what "
    "all were when we there can an your which their said if do will each about how up out them then she many some so "
    "these would other into has more her two like him see could no make than been its who now you my i he a me our "
    "please does did thank hello yes am",
    "de": "der die das und ist nicht ein eine einen einem einer den dem des zu mit sich auf für von im es an auch als "
    "wie bei oder nach aus wenn nur war werden wird sind noch haben hat ich sie wir ihr mein kein aber so dass über um "
    "vor durch man mir mich bitte danke er uns ihre seine zum zur am bin kann",
    "fr": "le la les de des du et est un une que qui dans pour pas sur au aux avec ce cette il elle nous vous je ne se "
    "sont par plus son sa ses mais ou où été être avoir fait comme tout ils on leur y bien très merci bonjour mes mon "
    "ma votre notre ces suis a en",
    "es": "el la los las de y que en un una es por con no para del se su al lo como más pero sus le ya este sí porque "
    "esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno ni contra otros "
    "ese eso ante ellos mi está gracias hola yo tengo son fue a o",
    "it": "il lo la i gli le di del della dei delle e è che in un una per con non sono si da al alla come più ma anche "
    "ha questo questa nel nella sul sulla se ci suo sua essere molto tutto hanno quando dove perché dal io mi grazie "
    "ciao mio mia ho lui noi a o",
    "pt": "o a os as de do da dos das e é que em um uma para com não se por mais como mas foi ao ele ela à seu sua ou "
    "ser quando muito há nos já está eu também só pelo pela até isso entre era depois sem mesmo aos ter seus você meu "
    "minha obrigado olá no na são",
    "nl": "de het een en van ik te dat die in is niet zijn op aan met als voor er maar om hem dan zou of wat mijn men "
    "dit zo door over ze zich bij ook tot je mij uit der daar haar naar heb hoe heeft hebben deze u want nog zal me zij "
    "nu ge geen omdat iets worden was wij hij",
    "sv": "och att det i en jag hon som han på den med var sig för så till är men ett om hade de av icke mig du henne då "
    "sin nu har inte hans honom skulle hennes där min man ej vid kunde något från ut när efter upp vi dem vara vad över "
    "än dig kan sina här ha mot alla under någon eller allt mycket",
    "da": "og i jeg det at en den til er som på de med han af for ikke der var mig sig men et har om vi min havde ham "
    "hun nu over da fra du ud sin dem os op man hans hvor eller hvad skal selv her alle vil blev kunne ind når være dog "
    "noget ville jo deres efter ned skulle denne",
    "no": "og i jeg det at en et den til er som på de med han av ikke der så var meg seg men har om vi min mitt ha hadde "
    "hun nå over da ved fra du ut sin dem oss opp man kan hans hvor eller hva skal selv sjøl her alle vil bli ble blitt "
    "kunne inn når være kom noen noe ville dere",
    "fi": "ja on ei se että hän oli joka mutta kun niin ovat olla mitä myös minä sinä me te he tämä kuin jos vain nyt "
    "sitten hyvin koska siellä tai olen ole minun sen ollut voi mukaan jo kaikki kanssa vielä mikä missä kiitos",
    "pl": "i w na z nie się że do to jest jak o co a ale po tak za od jego jej przez dla są był była było być tylko czy "
    "może ich już przy mnie ja tym ten ta te który która które oraz bardzo gdy jeszcze także pod nad proszę dziękuję",
    "cs": "a se v na je že s z do o to i k ve za by ale si po jako podle jsou jeho které který která jen byl byla bylo "
    "při jsem nebo už pro co až bude také jak od ke mezi tak není kde tím tento proč když jeho její děkuji prosím",
    "ro": "și de a în la cu pe un o nu este din că să se care pentru mai fi au sunt sau dar ca al ale lui cel fost prin "
    "după acest această acum foarte când unde ce fără despre între ei noi eu mă îi îmi mulțumesc",
    "hu": "a az és hogy nem is egy ez meg de csak van volt ha már mint még el minden vagy azt ki nagyon kell mi én te ő "
    "lesz fel ezt le be akkor itt amikor mert most pedig sem lehet köszönöm",
    "tr": "ve bir bu da de için ile çok o ne gibi daha ben sen var yok mi mı ama kadar sonra olan olarak her en değil "
    "ya diye şey ki biz siz onlar nasıl neden hem veya ancak şu teşekkür",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena tersebut bisa ada mereka "
    "lebih telah sudah atau sebagai oleh kami kita adalah anda dia seperti kepada hanya banyak terima kasih",
    "ru": "и в не на что он с как это по но они мы вы из у за то так же от меня мне его её был была было быть для когда "
    "где если или только уже ещё очень нет да сегодня вчера привет спасибо пожалуйста к я ты",
    "uk": "і в не на що він з як це по але вони ми ви із у за то так та від мене мені його її був була було бути для коли "
    "де якщо або тільки вже ще дуже ні сьогодні вчора привіт дякую будь ласка до я ти є",
    "bg": "и в не на че той с как това по но те ние вие от за то така мен ми го я беше са съм е да се ще когато къде ако "
    "или само вече още много днес вчера здравей благодаря моля аз ти до",
    "sr": "и у не на да он са како то по али они ми ви из за тако од мене ми га је био била било бити када где ако или "
    "само већ још врло данас јуче здраво хвала молим ја ти до се су што",
    "ar": "في من على إلى أن هذا هذه التي الذي ما لا هو هي كان مع عن ثم أو كل بعد هل أين كيف شكرا مرحبا",
    "fa": "در از به که این را با است برای آن یک خود تا بر هم شد ما می من چه کجا سلام ممنون",
    "ur": "میں کے کی ہے اور سے کا کو نے یہ ہیں پر اس کہ تھا ایک بھی کہاں شکریہ آپ",
    "hi": "है में का की के और को से यह नहीं मैं पर हैं ने एक भी कहाँ मेरा मेरी मेरे गया था थी हो आज कल आप क्या धन्यवाद दो",
    "mr": "आहे आणि मी नाही ते या हे ची चे चा मध्ये आहेत होते एक कुठे काय माझा माझी धन्यवाद",
    "ne": "छ र को मा हो छन् लाई यो म भने पनि कहाँ मेरो धन्यवाद",
}
"""The commonest words of languages that share their script with others."""

TELLING_LETTERS: dict[str, str] = {
    "ß": "de",
    "ñ": "es",
    "¿": "es",
    "¡": "es",
    "ã": "pt",
    "õ": "pt",
    "ő": "hu",
    "ű": "hu",
    "ł": "pl",
    "ą": "pl",
    "ę": "pl",
    "ś": "pl",
    "ż": "pl",
    "ř": "cs",
    "ě": "cs",
    "ů": "cs",
    "ğ": "tr",
    "ı": "tr",
    "ş": "tr",
    "ț": "ro",
    "ă": "ro",
    "ș": "ro",
    "œ": "fr",
    "ї": "uk",
    "є": "uk",
    "ґ": "uk",
    "і": "uk",
    "ў": "be",
    "ђ": "sr",
    "ћ": "sr",
    "ј": "sr",
    "ы": "ru",
    "э": "ru",
    "ё": "ru",
    "پ": "fa",
    "چ": "fa",
    "ژ": "fa",
    "گ": "fa",
    "ة": "ar",
    "أ": "ar",
    "إ": "ar",
    "ي": "ar",
    "ك": "ar",
    "ٹ": "ur",
    "ڈ": "ur",
    "ڑ": "ur",
    "ے": "ur",
}
"""Letters that, among these languages, one alone uses (or nearly so)."""

SCRIPT_LANGUAGE: dict[str, str] = {
    "Greek": "el",
    "Hebrew": "he",
    "Bengali": "bn",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
    "Georgian": "ka",
    "Armenian": "hy",
    "Hangul": "ko",
    "Kana": "ja",
    "Han": "zh",
}
"""The language of a script that one language mostly has to itself."""

SCRIPTS: tuple[tuple[int, int, str], ...] = (
    (0x0041, 0x024F, "Latin"),
    (0x0250, 0x02AF, "Latin"),
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0530, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x077F, "Arabic"),
    (0x08A0, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x1000, 0x109F, "Myanmar"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1200, 0x139F, "Ethiopic"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x3040, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hangul"),
    (0x31F0, 0x31FF, "Kana"),
    (0x3400, 0x9FFF, "Han"),
    (0xAC00, 0xD7AF, "Hangul"),
    (0xF900, 0xFAFF, "Han"),
    (0xFB1D, 0xFB4F, "Hebrew"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFF, "Arabic"),
    (0xFF21, 0xFF5A, "Latin"),
    (0xFF66, 0xFF9F, "Kana"),
    (0x20000, 0x2FA1F, "Han"),
)
"""(first, last, script) of the Unicode blocks of letters that matter here."""

POSITIVE = frozenset(
    "good great excellent amazing wonderful best love loved loves lovely happy glad nice perfect fantastic awesome "
    "beautiful brilliant enjoy enjoyed pleased pleasant delighted delightful superb thank thanks helpful friendly kind "
    "easy fast reliable recommend recommended impressive satisfied win won success successful positive better improved "
    "fun safe clean fresh cute smiling smile cheerful favorite comfortable generous honest calm proud grateful "
    "recommends pleasure outstanding".split()
)
NEGATIVE = frozenset(
    "bad terrible awful horrible worst hate hated hates sad angry poor disappointing disappointed disappointment wrong "
    "broken useless waste boring ugly slow difficult annoying annoyed rude dirty unsafe fail failed failure fails error "
    "problem problems pain painful worse negative unhappy unreliable complaint complain refund scam fraud dangerous "
    "hurt sick cry crying lost damage damaged delay delayed unacceptable nasty cruel afraid fear scared "
    "worried complaints nightmare mess dreadful rotten regret ruined".split()
)
TOXIC = frozenset(
    "idiot idiots idiotic stupid moron morons moronic dumb dumbass imbecile imbeciles loser losers scum scumbag scumbags "
    "pathetic worthless wtf stfu bitch bitches bastard bastards asshole assholes arsehole ass damn fuck fucking fucked "
    "fucker fuckers motherfucker shit shitty bullshit crap cunt cunts prick pricks slut sluts whore whores retard retards "
    "retarded vermin subhuman subhumans dickhead douchebag jackass".split()
)
"""Words that are hardly used but as insults; phrases and disguised spellings are found by patterns."""

NAMES = frozenset(("dick", "dicks"))
"""Insults that are people's names, too."""

COMMON_ENGLISH = frozenset(
    """
    a able about above across act action active activity actually add after again against age ago agree air all allow
    almost alone along already also although always am among amount an and animal another answer any anyone anything
    appear apple are area arm around arrive art as ask asked at away baby back bad bag ball bank baseball bat bathroom
    be beach bear beautiful became because become bed bedroom been before began begin behind being believe below bench
    best better between beyond big bike bird birds bit black blue board boat body book books born both bottle bottom bowl
    box boy boys bread break bridge bring broke broken brother brought brown build building buildings built bus business
    but buy by cake call called came camera can cannot car card care carry cars case cat catch cause cell center certain
    chair chance change chicken child children choose church city class clean clear clock close closed clothes cloud
    clouds coat coffee cold color come comes common company complete computer contain continue control cook cool corner
    cost could count counter country couple course court cover covered cow cows cross crowd cup current cut daily dark
    data date day days dead deal dear death decide deep describe desk detail did didn different dinner direction dirt
    dish display do doctor does doesn dog dogs doing don done door doors double down draw dress drink drive driver
    driving drop dry during each ear early earth easy eat eating edge effect eight either elephant elephants else empty
    end energy enjoy enough enter even evening event ever every everyone everything example except expect experience
    explain eye eyes face fact fall family far farm fast father feel feet fell felt fence few field fight figure fill
    filled final finally find fine finger finish fire first fish five flag flat floor flower flowers fly flying follow
    following food foot for force forest form forward found four free fresh friend friends from front fruit full fun
    game garden gave general get getting giraffe giraffes girl girls give given glad glass glasses go goes going gold
    gone good got grass gray great green ground group grow guy had hair half hall hand hands hang hanging happen happy
    hard has hat have having he head hear heard heart heat heavy held hello help her here high hill him himself his hit
    hold holding holds home horse horses hot hour hours house how however huge human hundred i ice idea if image
    important in include increase indeed inside instead interest into is isn it item items its itself jacket job join
    jump jumping just keep key kid kids kind king kitchen kite knew knife know known lady lake land language laptop large
    last late later laugh laughing lay laying lead learn least leave leaves left leg legs less let letter level lie life
    light lights like likely line list listen little live living local long look looking looks lost lot love low lunch
    made mail main major make makes making man many map mark market may maybe me meal mean measure meat meet men message
    met metal middle might mile milk million mind minute mirror miss moment money month months more morning most mother
    motorcycle mountain mountains mouth move moving much music must my name natural near nearby need needs never new next
    nice night nine no none nor north not note nothing notice now number of off office often oh oil ok old on once one
    ones only onto open or orange order other others our out outdoor outside over own page paint pair paper parents park
    parked parking part party pass past pay people perhaps person phone photo picture piece pieces pizza place plane
    plant plants plate play played player players playing please point police poor position possible power prepare
    present president pretty price probably problem process produce program provide public pull purple purse put quarter
    question quick quickly quite race rail rain ran rather reach read reading ready real really reason receive record red
    remain remember report rest restaurant result return ride rides riding right river road rock rocks room round row run
    running said sand sandwich sat save saw say saying says scene school sea seat second see seem seen sell send sense
    sent sentence series serve service set seven several shape she sheep ship shirt shoes shop short should show shown
    shows side sidewalk sign signs silver similar simple since sing single sink sister sit sits sitting six size
    skateboard ski skiing sky sleep slice slow slowly small smile smiling snow snowboard so soft some someone something
    sometimes son song soon sound south space speak special spoon sport spring square stand standing stands star start
    started state station stay step still stone stop store story stove straight street strong student study such suit
    summer sun sure surf surfboard surfing swim swing system table take taken takes taking talk talking tall teach team
    teddy tell ten tennis test than thank thanks that the their them themselves then there these they thing things think
    third this those though thought thousand three through throw tie time times to today together toilet told tomorrow
    tonight too took top toward towards town toy track traffic train travel tree trees trick trip truck true try trying
    turn turned tv two type umbrella under understand until up upon us use used uses using usually various vase vegetables
    very view village visit voice wait waiting walk walking wall want wanted war warm was wasn watch watching water wave
    waves way we wear wearing week weeks well went were west what wheel when where whether which while white who whole
    why wife wild will wind window windows wine winter with within without woman women wonder wood wooden word words work
    working world would write written wrong yard year years yellow yes yet you young your yourself zebra zebras
    """.split()
)
"""About a thousand common words of everyday English."""
