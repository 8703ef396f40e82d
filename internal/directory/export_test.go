package directory

// ParseEmailInFull is ParseEmail without its short cut for ASCII.
func ParseEmailInFull(typed string) (Email, error) {
	if len(typed) > maxEmail {
		return Email{}, ErrEmail
	}
	return parseUnicode(typed)
}

// TakesShortCut reports whether ParseEmail reads typed as ASCII.
func TakesShortCut(typed string) bool {
	_, ok := canonicalASCII(typed)
	return ok
}

// ASCIILookalikes are the characters that are held to be drawn as ASCII.
const ASCIILookalikes = asciiLetters + asciiMarks
