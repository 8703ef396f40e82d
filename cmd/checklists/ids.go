package main

import (
	"regexp"
	"slices"
	"strings"
)

// Both patterns take the whole word, so that a mistyped id is found to be none
// instead of being taken for a shorter one.
var (
	// written is an id as the lists write it.
	written = regexp.MustCompile(`(?i:BBA|BCL|FAPI2|GOIDC|ASVS)-[0-9][0-9A-Za-z.]*|S-[0-9][0-9A-Za-z.]*|oidcc-[0-9A-Za-z-]+`)
	// named is an id as a Go function's name can hold it. There, a word ends
	// where the next begins with a capital letter.
	named = regexp.MustCompile(`(?:Test|Fuzz|_|[a-z])(ASVS_?[0-9]+_[0-9]+_[0-9]+|(?:BBA|BCL|FAPI2|GOIDC|S)_?[0-9]{2})(?:[A-Z_]|$)`)
)

// idsIn returns the ids in a text, as the lists write them, whether a list has
// them or not.
func idsIn(text string) []string {
	var ids []string
	for _, at := range written.FindAllStringIndex(text, -1) {
		before, id := text[:at[0]], strings.TrimRight(text[at[0]:at[1]], ".-")
		if before != "" && partOfWord(before[len(before)-1]) {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// idsInName returns the ids in one part of a test's name, each once.
func idsInName(name string) []string {
	ids := idsIn(name)
	for rest := name; ; {
		at := named.FindStringSubmatchIndex(rest)
		if at == nil {
			slices.Sort(ids)
			return slices.Compact(ids)
		}
		ids = append(ids, spelled(rest[at[2]:at[3]]))
		rest = rest[at[3]:] // what ended this word may begin the next
	}
}

// spelled returns a function name's id as the lists write it.
func spelled(id string) string {
	if numbers, ok := strings.CutPrefix(id, "ASVS"); ok {
		return "ASVS-" + strings.ReplaceAll(strings.TrimPrefix(numbers, "_"), "_", ".")
	}
	number := len(id) - 2
	return strings.TrimSuffix(id[:number], "_") + "-" + id[number:]
}

func partOfWord(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
