package directory

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// patterns are what a list of addresses says, sorted so that a list of
// thousands of domains costs no more than a short one.
type patterns struct {
	everything bool
	addresses  map[string]bool // anna@example.com
	domains    map[string]bool // example.com
	beneath    map[string]bool // *.example.com, as example.com
	globs      []glob          // all others
}

// glob is a pattern whose local part has a wildcard or whose domain does.
type glob struct {
	local   []string // what stands between the wildcards
	domain  string   // empty for every domain
	beneath bool     // below the domain instead of the domain
}

// parsePatterns reads a list of patterns. Its error names the one that is
// malformed, or that would never match.
func parsePatterns(list []string, plus PlusMode) (patterns, error) {
	p := patterns{addresses: map[string]bool{}, domains: map[string]bool{}, beneath: map[string]bool{}}
	for _, pattern := range list {
		if err := p.add(pattern, plus); err != nil {
			return patterns{}, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	return p, nil
}

func (p *patterns) add(pattern string, plus PlusMode) error {
	local, domain, isAddress := strings.Cut(pattern, "@")
	if !isAddress {
		local, domain = "*", pattern
	}
	if local != "*" && !strings.Contains(pattern, "*") {
		return p.addAddress(pattern, plus)
	}
	g, err := parseGlob(local, domain, plus)
	if err != nil {
		return err
	}
	switch {
	case local != "*":
		p.globs = append(p.globs, g)
	case g.domain == "":
		p.everything = true
	case g.beneath:
		p.beneath[g.domain] = true
	default:
		p.domains[g.domain] = true
	}
	return nil
}

// addAddress adds a whole address, in the canonical form that the mode gives
// it: blocking a tag where tags mean nothing blocks the mailbox.
func (p *patterns) addAddress(pattern string, plus PlusMode) error {
	email, err := ParseEmail(pattern)
	if err != nil {
		return err
	}
	canonical, err := plus.canonical(email.canonical)
	if err != nil {
		return errNoPlus
	}
	p.addresses[canonical] = true
	return nil
}

// Why a pattern makes no sense.
var (
	errNoPlus          = errors.New("no address keeps its plus under this setting for plus-addressing, so that it never matches")
	errPatternLocal    = errors.New("before the @ comes a local part, in which * stands for any text")
	errPatternDomain   = errors.New("a domain is written example.com, *.example.com for all beneath it, or *")
	errPatternDeceives = errors.New("the domain mixes scripts or poses as another, so that no address has it")
	errPatternTop      = errors.New("no address is at a top-level domain itself; all beneath it are written with *. before it")
)

func parseGlob(local, domain string, plus PlusMode) (glob, error) {
	folded, err := patternLocal(local)
	if err != nil {
		return glob{}, err
	}
	if plus != PlusAllow && strings.Contains(folded, "+") {
		return glob{}, errNoPlus
	}
	g := glob{local: strings.Split(folded, "*")}
	if domain == "*" {
		return g, nil
	}
	name, beneath := strings.CutPrefix(domain, "*.")
	if g.domain, err = canonicalName(name); err != nil {
		return glob{}, errPatternDomain
	}
	if deceives("a", g.domain) {
		return glob{}, errPatternDeceives
	}
	if !beneath && !strings.Contains(g.domain, ".") {
		return glob{}, errPatternTop
	}
	g.beneath = beneath
	return g, nil
}

// patternLocal is canonicalLocal for a local part with wildcards. What an
// address must be as a whole, its writing direction for one, a part of it
// need not be.
func patternLocal(local string) (string, error) {
	if local == "" || len(local) > maxLocal || hasInvisible(local) {
		return "", errPatternLocal
	}
	folded, err := patternProfile.String(fold(local))
	if err != nil || strings.ContainsFunc(strings.ReplaceAll(folded, ".", ""), notAtext) || strings.Contains(folded, "..") {
		return "", errPatternLocal
	}
	return folded, nil
}

// patternProfile is PRECIS's UsernameCaseMapped without its rule for the
// writing direction.
var patternProfile = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// match reports whether a canonical address is one that the list names.
func (p *patterns) match(local, domain string) bool {
	if p.everything || p.domains[domain] {
		return true
	}
	if len(p.addresses) > 0 && p.addresses[local+"@"+domain] {
		return true
	}
	if len(p.beneath) > 0 {
		for parent := domain; ; {
			var deeper bool
			if _, parent, deeper = strings.Cut(parent, "."); !deeper {
				break
			}
			if p.beneath[parent] {
				return true
			}
		}
	}
	for i := range p.globs {
		if p.globs[i].match(local, domain) {
			return true
		}
	}
	return false
}

func (g *glob) match(local, domain string) bool {
	switch {
	case g.domain == "":
	case g.beneath:
		if above, ok := strings.CutSuffix(domain, g.domain); !ok || !strings.HasSuffix(above, ".") {
			return false
		}
	case domain != g.domain:
		return false
	}
	return matchParts(g.local, local)
}

// matchParts reports whether text is the parts in their order with any text
// between them. Each part is taken where it first fits: a stranger's address
// meets an operator's pattern in time linear in both, never by backtracking.
func matchParts(parts []string, text string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == first
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	if text, ok = strings.CutSuffix(text, last); !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return true
}
