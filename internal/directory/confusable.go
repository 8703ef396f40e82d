package directory

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// asciiLetters are characters that are drawn as ASCII letters or digits, from
// the data of UTS #39 (confusables.txt), as far as they survive the canonical
// form. Small capitals and the Cherokee letters' small forms are added: an
// address has no case, so that a reader takes them for letters, too.
//
// Left out are letters of living alphabets in Latin script whose difference
// shows (ı, æ, œ, ơ, ɣ, ʋ, ɩ): with them real words would go; and scripts such
// as Hebrew and Arabic, in which nobody reads a word as ASCII.
const asciiLetters = "" +
	// Cyrillic, without б, whose likeness is a digit
	"аӕсԁеҽһіꙇӏјоꚙрԛгѕѵѡԝхуү" +
	// Greek and Coptic
	"αιϳοσρυνγᴦⲥⲟⲣⲅ" +
	// Armenian and Georgian
	"քցհոռօգզսաჿყ" +
	// Latin: phonetic letters, tone letters, clicks
	"ɑꬲꬵꞙẝɡᶃƍǀǁꬽᴑꭇꭈƽƨƅꞟꭎꭒꭣɯᶌỿꭚ" +
	// Latin: small capitals
	"ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ" +
	// Cherokee, in both forms
	"ᎪᏏᏴᏟᏧᎠᎬᏀᏳᎻᎥᎫᏦᏞᎷᏢᎡᏒᏕᏚᎢᏙᎳᏔᎩᎽᏃᏎᏮᏂ" +
	"ꭺꮟᏼꮯꮷꭰꭼꮐᏻꮋꭵꭻꮶꮮꮇꮲꭱꮢꮥꮪꭲꮩꮃꮤꭹꮍꮓꮞꮾꮒ" +
	// Lisu
	"ꓮꓐꓚꓒꓓꓰꓝꓖꓧꓙꓗꓲꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ" +
	// Canadian syllabics
	"ᗅᖯᗷᑯᗞᗪᖴᕼᒍᒪᗰᑭᖇᑌᐯᕁᕽᒿ" +
	// scripts of history
	"𐐽𐐬𐑈𐓪𐓶𑣃𑣈𑣗𑣁𑣘𑣀𑣜𑣄𑣂𐊠𐊡𐊢𐊥𐋏𐊰𐊫𐊱𐊴𐊲𐌁𐌂𐌑𐌕𐌗𐌉𐔜𐔥𐔘𐔦𐔓𐔖𐔝𐔧𐊂𐊆𐊇𐊊𐊒𐊕𐊖𐊗𐊐ᛕᛁᛖᚷ" +
	"〇"

// asciiMarks are letters that are drawn as ASCII punctuation. Among Latin
// letters ノ begins a path, and ー is a hyphen; a word of them alone is a word.
const asciiMarks = "ʹʺˈˊˋʻʼʽʾˮˆːꞌǃノ丿丶ー一"

// looksASCII reports whether text is drawn with nothing but ASCII letters or
// digits and what goes between them: whether its skeleton (UTS #39 §4) is ASCII.
func looksASCII(text string) bool {
	letters := false
	// A dot above changes nothing that is seen of a letter that has its own.
	for _, r := range softDots.Replace(norm.NFD.String(text)) {
		switch {
		case r < utf8.RuneSelf:
			letters = letters || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		case strings.ContainsRune(asciiLetters, r):
			letters = true
		case !strings.ContainsRune(asciiMarks, r):
			return false
		}
	}
	return letters
}

//nolint:gochecknoglobals // built once, safe for concurrent use, never changed
var softDots = strings.NewReplacer(
	"i\u0307", "i", "j\u0307", "j", "ı\u0307", "i", "ȷ\u0307", "j", "і\u0307", "i", "ј\u0307", "j",
)
