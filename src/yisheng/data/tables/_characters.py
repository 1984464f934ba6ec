"""Characters by which encodings are told apart: the frequent ones of three scripts, and the letters of languages."""

from __future__ import annotations

FREQUENT_SIMPLIFIED = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同"
    "现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很"
    "最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走"
    "义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马"
    "科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
    "姓龄男否城省价单额号码编址客户订货颜红蓝绿黄黑京广州深圳收面积房间楼层牌型备注状态日期率销售店均温湿速店户籍职婚健康好坏优良中差"
)
FREQUENT_TRADITIONAL = frozenset(
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事成方多經麼去法學如都同"
    "現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已工使情明性知全三又關點正業外將兩高間由問很"
    "最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走"
    "義各入幾口認條平系氣題活爾更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬"
    "科司五基眼書非則聽白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運"
    "姓齡男否城縣市價單額號碼編址客戶訂貨顏紅藍綠黃黑臺台北灣高雄收面積房間樓層牌型備註狀態日期率銷售店均溫濕速姓別職婚健康好壞優良中差"
)
FREQUENT_JAPANESE = frozenset(
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電校語土木聞食車何南万毎白"
    "天母火右読友左休父雨会事自社者地業方新場員立開手力問代明動京目通言理体田主題意不作用度強公持野以思家世多正安院心界教文元重近考画海売知集別"
    "物使品計死特私始朝運終台広住真有口少町料工建空急止送切転研足究楽起着店病質待試族銀早映親験英医仕去味写字答夜音注帰古歌買悪図週室歩風紙黒花"
    "春赤青館屋色走秋夏習駅洋旅服夕借曜飲肉貸堂鳥飯勉冬昼茶弟牛魚兄犬妹姉漢"
    "氏齢性価格数量付番号商分類所顧客緑阪都県区市州温湿率均値面積階"
)
FREQUENT_HANGUL = frozenset(
    "이다는에의을가고한지하로기사를은도어대자인나리시정수아해서일라그전부제보만주연원구장여소스상들과무성거면게선마유신계공경비동국조안되내세적방문화"
    "진우관오생치발물미분교현산위년월호당행결명바실격름별량날짜울남번품류색빨강파랑초록노검흰점판매회직업학력급종용요금층형태상태최저최고온습"
)
PUNCTUATION = frozenset("“”‘’„‚«»‹›–—…•·€£¥°²³µ§©®™±×÷½¼¾º ª\u00a0¿¡№†¤−\u202f\u2009")
_FREQUENT_LETTERS = frozenset("оеаинтсрвлкмдпуяαοιετσνηυρπκμλωςάίόאוילהמרתבשנاليمنرتبودسع")
"""More than half of the letters of a text in Cyrillic, Greek, Hebrew or Arabic."""


def _weigh(letters: str, weight: float = 1.0) -> dict[str, float]:
    """Return the letters of a language, small and capital, with their weights."""
    return {letter: weight * (1.0 if letter.lower() in _FREQUENT_LETTERS else 0.7) for letter in letters}


def _latin(*languages: str) -> tuple[dict[str, float], ...]:
    return tuple(dict.fromkeys(letters + letters.upper(), 1.0) for letters in languages)


_CYRILLIC_SMALL = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ"
_CYRILLIC = _weigh(_CYRILLIC_SMALL + _CYRILLIC_SMALL.upper())
_GREEK_SMALL = "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ"
_GREEK = _weigh(_GREEK_SMALL + _GREEK_SMALL.upper() + "ΆΈΉΊΌΎΏ")
_HEBREW = _weigh("אבגדהוזחטיךכלםמןנסעףפץצקרשת")
_ARABIC = _weigh("ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءئؤإأآپچژگکی،؛؟")
_ICELANDIC = dict.fromkeys("áðéíóúýþæöÁÐÉÍÓÚÝÞÆÖ", 0.9)
"""Its letters that no other Western language has are Turkish ones in another encoding, and Turkish is more frequent."""
_WESTERN = (
    *_latin("äöüß", "éèêëàâîïôûùçœæ", "áéíóúñü", "áàâãéêíóôõúçü", "àèéìíòóùú", "åäöæøé", "éëïüöè", "àèéíïòóúüç"),
    _ICELANDIC,
)
_CENTRAL = _latin("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß")
_WESTERN += (dict.fromkeys((letter for letters in _WESTERN for letter in letters), 0.85),)
_CENTRAL += (dict.fromkeys((letter for letters in _CENTRAL for letter in letters), 0.85),)
"""Names of several languages in one column: their letters together, less likely than one language."""
LANGUAGES: dict[str, tuple[dict[str, float], ...]] = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": (_CYRILLIC,),
    "cp1254": (dict.fromkeys("çğıöşüâîÇĞİÖŞÜÂÎ", 1.0),),
    "cp1257": _latin("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž"),
    "cp1253": (_GREEK,),
    "cp1255": (_HEBREW,),
    "cp1256": (_ARABIC,),
    "koi8_u": (_CYRILLIC,),
    "iso8859_5": (_CYRILLIC,),
    "cp866": (_CYRILLIC,),
    "iso8859_2": _CENTRAL,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
}
"""Languages of an encoding with one byte for a letter, each as weights of the letters beyond ASCII that it uses."""
