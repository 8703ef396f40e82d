//go:build browser

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// overheard is what a tab asks for and complains of.
type overheard struct {
	mu       sync.Mutex
	asked    []string
	complain []string
}

// overhear listens to a tab from now on. The browser's own log has what a
// policy has refused.
func overhear(t *testing.T, tab context.Context) *overheard {
	t.Helper()
	o := &overheard{}
	err := chromedp.Listen(tab, func(event any) {
		o.mu.Lock()
		defer o.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			o.asked = append(o.asked, e.Request.URL)
		case *log.EventEntryAdded:
			o.complain = append(o.complain, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		case *runtime.EventConsoleAPICalled:
			said := []string{"console." + string(e.Type)}
			for _, argument := range e.Args {
				said = append(said, fmt.Sprintf("%s%s", argument.Value, argument.Description))
			}
			o.complain = append(o.complain, strings.Join(said, " "))
		case *runtime.EventExceptionThrown:
			o.complain = append(o.complain, fmt.Sprintf("%s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// toOperation scrolls to what the page says of an operation.
const toOperation = `(() => {
	[...document.querySelectorAll('h2')].find(e => e.textContent.includes('Accept a sign-up')).scrollIntoView()
	return true
})()`

func TestTheDocumentationInABrowser(t *testing.T) { //nolint:tparallel // in turn: they share a tab
	t.Parallel()
	d := startDemo(t)
	d.do(d.browser, "somebody is signed in, whose session the page must not reach", chromedp.Navigate(d.example), sees("h1", "Welcome"))
	tab := d.tab()
	d.do(tab, "an empty tab", chromedp.Navigate("about:blank"))
	heard := overhear(t, tab)

	d.do(tab, "read", chromedp.Navigate(d.api+"/docs"), sees("h1", "Portico"), sees("h2", "Accept a sign-up"),
		sees("h2", "Where a sign-up stands"), sees("a", "openapi.yaml"))
	d.picture(tab, "docs", chromedp.CaptureScreenshot()) // of the whole page it would be 90,000 pixels high
	evaluate[bool](d, tab, toOperation)
	d.picture(tab, "docs-operation", chromedp.CaptureScreenshot())
	for _, operation := range []string{"Accept a sign-up", "Start authentication by redirect", "This contract as a page"} {
		if !evaluate[bool](d, tab, fmt.Sprintf("document.body.textContent.includes(%q)", operation)) {
			t.Errorf("the page does not say %q", operation)
		}
	}
	t.Run("its search finds operations", func(t *testing.T) {
		d.do(tab, "search", chromedp.SendKeys("input[type=text]", "resend"), sees("[role=search] li, [role=search] label", "Ask for the enrolment mail again"))
	})

	heard.mu.Lock()
	t.Run("it asks for its own files alone", func(t *testing.T) {
		for _, url := range heard.asked {
			if !strings.HasPrefix(url, d.api+"/docs") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") {
				t.Errorf("it asks for %s", url)
			}
		}
		if len(heard.asked) < 4 {
			t.Errorf("it asks for %q only: this looks in the wrong place", heard.asked)
		}
	})
	t.Run("nothing is complained of", func(t *testing.T) {
		for _, complaint := range heard.complain {
			t.Error(complaint)
		}
	})
	heard.mu.Unlock()

	t.Run("its scripts have no origin, no storage, and nobody to talk to", func(t *testing.T) {
		if origin := evaluate[string](d, tab, "self.origin"); origin != "null" {
			t.Errorf("the origin is %s", origin)
		}
		tried := `(async () => {
			const all = [['/me', {headers: {'X-CSRF': '1'}, credentials: 'include'}], ['/openapi.yaml'], ['https://example.com/']]
			return (await Promise.all(all.map(([url, options]) => fetch(url, options).then(() => 'let through', () => 'refused')))).join()
		})()`
		said, err := chromedp.Run(tab, chromedp.Evaluate[string](tried, chromedp.EvalAwaitPromise))
		if err != nil || said != "refused,refused,refused" {
			t.Errorf("what a script of the page asks for is %q (%v)", said, err)
		}
	})
	t.Run("it can be read in the dark", func(t *testing.T) {
		d.prefers(tab, "dark")
		d.do(tab, "read", chromedp.Navigate(d.api+"/docs"), sees("h2", "Accept a sign-up"))
		d.picture(tab, "docs-dark", chromedp.CaptureScreenshot())
		evaluate[bool](d, tab, toOperation)
		d.picture(tab, "docs-operation-dark", chromedp.CaptureScreenshot())
		least := evaluate[string](d, tab, faintest)
		var ratio float64
		if _, err := fmt.Sscanf(least, "%f", &ratio); err != nil || ratio < 4.5 {
			t.Errorf("a contrast of %s", least)
		}
	})
}
