//go:build browser

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// focused says where the keyboard is, and how one can see it.
const focused = `(() => {
	const e = document.activeElement, look = getComputedStyle(e)
	return e === document.body || look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2
})()`

// tabTo presses Tab until the keyboard is at what matches, and fails the test
// where one cannot see on the way where it is.
func (d *demo) tabTo(tab context.Context, selector string) {
	d.t.Helper()
	for range 40 {
		d.do(tab, "Tab", chromedp.KeyEvent(kb.Tab))
		if !evaluate[bool](d, tab, focused) {
			d.t.Errorf("one cannot see that the keyboard is at %s", evaluate[string](d, tab, "document.activeElement.outerHTML"))
		}
		if evaluate[bool](d, tab, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	d.t.Fatalf("the keyboard does not come to %s: it is at %s", selector, evaluate[string](d, tab, "document.activeElement.outerHTML"))
}

// atHeading is where a new screen takes the keyboard.
func atHeading(text string) step {
	return holds(fmt.Sprintf("document.activeElement.matches('h1') && document.activeElement.textContent.includes(%q)", text))
}

// faintest is the least contrast of any text on the page with what is behind
// it (WCAG 2.2, 1.4.3), and whose it is. What cannot be used need not be read.
const faintest = `(() => {
	const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true})
	const rgba = color => {
		canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1)
		return canvas.getImageData(0, 0, 1, 1).data
	}
	const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
	const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c } return rgba("white") }
	let least = [21, ""]
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
	for (let node; node = texts.nextNode();) {
		const e = node.parentElement
		if (!node.textContent.trim() || !e.checkVisibility() || e.closest(":disabled, script, noscript, .unseen, .skip")) continue
		const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))]
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
		if (ratio < least[0]) least = [ratio, node.textContent.trim()]
	}
	return least[0].toFixed(2) + " " + least[1]
})()`

// acceptable looks at the screen as those do who do not see it, and at how well
// those see it who do: light, dark, and as narrow as a small phone.
func (d *demo) acceptable(tab context.Context, screen string) {
	d.t.Helper()
	tree, err := chromedp.Call(tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		d.t.Fatal(err)
	}
	roles := make(map[string]int)
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := string(node.Role.Value), ""
		role = strings.Trim(role, `"`)
		if node.Name != nil {
			name = strings.Trim(string(node.Name.Value), `"`)
		}
		roles[role]++
		switch role {
		case "button", "link", "textbox", "dialog", "heading", "region", "list", "image":
			if strings.TrimSpace(name) == "" && role != "list" {
				d.t.Errorf("%s: a %s has no name", screen, role)
			}
		}
	}
	if roles["main"] != 1 || roles["banner"] != 1 || roles["contentinfo"] != 1 || roles["status"] == 0 {
		d.t.Errorf("%s: the landmarks are %v", screen, roles)
	}
	if n := evaluate[int](d, tab, "[...document.querySelectorAll('h1')].filter(e => e.checkVisibility()).length"); n != 1 {
		d.t.Errorf("%s has %d first headings", screen, n)
	}
	const ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
	if double := evaluate[string](d, tab, ids+".filter((id, i, all) => all.indexOf(id) !== i).join()"); double != "" {
		d.t.Errorf("%s has more than one of %s", screen, double)
	}
	if deaf := evaluate[string](d, tab, "[...document.querySelectorAll('input')].filter(e => !e.labels?.length).map(e => e.outerHTML).join()"); deaf != "" {
		d.t.Errorf("%s: without a label: %s", screen, deaf)
	}
	for _, scheme := range []string{"light", "dark"} {
		d.prefers(tab, scheme)
		least := evaluate[string](d, tab, faintest)
		var ratio float64
		if _, err := fmt.Sscanf(least, "%f", &ratio); err != nil || ratio < 4.5 {
			d.t.Errorf("%s, %s: a contrast of %s", screen, scheme, least)
		}
		d.do(tab, "a small phone", chromedp.EmulateViewport(320, 640))
		if wide := evaluate[int](d, tab, "document.documentElement.scrollWidth"); wide > 320 {
			d.t.Errorf("%s is %d pixels wide on a phone of 320", screen, wide)
		}
		d.screenshot(tab, screen+"-320-"+scheme)
		d.do(tab, "a desktop", chromedp.EmulateViewport(1100, 900))
	}
	d.prefers(tab, "light")
}

// prefers sets the colours that the user likes; nothing moves for this one.
func (d *demo) prefers(tab context.Context, scheme string) {
	d.t.Helper()
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestTheAppWorksInABrowserByKeyboardAlone(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tab := d.browser
	d.prefers(tab, "light")
	enter := chromedp.KeyEvent(kb.Enter)

	d.do(tab, "open", chromedp.Navigate(d.example), sees("h1", "Welcome"))
	d.acceptable(tab, "welcome")
	d.tabTo(tab, "#email")
	d.do(tab, "a wrong address", chromedp.KeyEvent("grace@example"), enter, sees("#email-error", "not an e-mail address"))
	d.do(tab, "the keyboard is where the mistake is",
		holds("document.activeElement.id === 'email' && document.activeElement.getAttribute('aria-invalid') === 'true'"))
	d.do(tab, "the rest of it", chromedp.KeyEvent(kb.End), chromedp.KeyEvent(".com"), enter, atHeading("Check your mail"))
	d.do(tab, "it is told how far it is", holds("document.querySelector('[data-text=progress]').textContent.includes('on its way')"))
	d.acceptable(tab, "waiting")

	d.do(tab, "the link", chromedp.Navigate(d.link("grace@example.com")), sees("button", "passkey"))
	d.do(tab, "enrol", chromedp.Submit("form"), sees("h1", "Your account"))
	d.acceptable(tab, "account")
	if moves := evaluate[int](d, tab, "document.getAnimations().length"); moves != 0 {
		t.Errorf("%d things move although nothing should", moves)
	}
	d.tabTo(tab, "#profile-name")
	d.do(tab, "a name", chromedp.KeyEvent("Grace"), enter, sees("#who", "Grace"), sees("#notices", "Saved"))
	d.tabTo(tab, "[data-action=delete]")
	d.do(tab, "ask to delete", enter, holds("document.querySelector('dialog').open && document.activeElement.value === 'no'"))
	d.do(tab, "think again", chromedp.KeyEvent(kb.Escape), holds("!document.querySelector('dialog').open && document.activeElement.dataset.action === 'delete'"))
	d.do(tab, "from the top", chromedp.Reload(), sees("h1", "Your account"))
	d.tabTo(tab, "[data-action=logout]")
	d.do(tab, "log out", enter, atHeading("Welcome"))
	d.noComplaints()
}
