//go:build browser

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"github.com/portico-id/portico/internal/await"
)

// demo is everything that runs, and a browser before it.
type demo struct {
	t                 *testing.T
	api, sim, example string
	browser           context.Context
	log               *terminal

	mu     sync.Mutex
	faults []string // exceptions and console errors of our pages
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	ports := freePorts(t)
	out := &terminal{ready: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append(flags(ports), "--verbose"), nil, out, out) }()
	select {
	case <-out.ready:
	case err := <-ended:
		cancel()
		t.Fatalf("%v\n%s", err, out)
	case <-time.After(await.Patience):
		cancel()
		t.Fatalf("not ready\n%s", out)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	d := &demo{
		t: t, api: fmt.Sprintf("http://localhost:%d", ports[0]), sim: fmt.Sprintf("http://localhost:%d", ports[2]),
		example: fmt.Sprintf("http://localhost:%d/", ports[3]), log: out,
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1100, 900))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	d.browser, stop = chromedp.NewContext(allocator)
	t.Cleanup(stop)
	d.watch(d.browser)
	return d
}

// watch keeps what a tab's scripts complain of.
func (d *demo) watch(tab context.Context) {
	messages := chromedp.Console(tab)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			// A refused request is an entry of the browser's log, not a script's fault.
			if message.IsException() || message.Source == "" && message.Type == chromedp.ConsoleError {
				d.mu.Lock()
				d.faults = append(d.faults, message.String())
				d.mu.Unlock()
			}
		}
	}()
}

// tab opens another tab of the same browser.
func (d *demo) tab() context.Context {
	d.t.Helper()
	tab, stop := chromedp.NewContext(d.browser)
	d.t.Cleanup(stop)
	d.watch(tab)
	return tab
}

// do runs the actions in the tab, each of which waits for what it needs.
func (d *demo) do(tab context.Context, what string, actions ...step) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(tab, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		look, done := context.WithTimeout(tab, 5*time.Second)
		defer done()
		html, _ := chromedp.Run(look, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
		d.t.Fatalf("%s: %v\n%s", what, err, html)
	}
}

// step is one action in a tab.
type step = chromedp.Action[chromedp.Void]

// sees waits until the tab shows the text in an element.
func sees(selector, text string) step {
	return holds(fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.checkVisibility() && e.textContent.includes(%q))", selector, text))
}

// holds waits until an expression is true in the tab.
func holds(expression string) step {
	shown := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(25*time.Second))
	return func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		for {
			_, err := shown(ctx, tab)
			if err == nil {
				return chromedp.Void{}, nil
			}
			// A page that is left takes its scripts with it: the next one is asked.
			if ctx.Err() != nil || !strings.Contains(err.Error(), "context") && !strings.Contains(err.Error(), "navigated") {
				return chromedp.Void{}, fmt.Errorf("%s: %w", expression, err)
			}
		}
	}
}

// types replaces what stands in a field.
func types(selector, text string) step {
	return chromedp.Steps(
		step(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
			_, err := chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).value = ''", selector))(ctx, tab)
			return chromedp.Void{}, err
		}),
		chromedp.SendKeys(selector, text),
	)
}

// evaluate returns what an expression is worth in the tab.
func evaluate[T any](d *demo, tab context.Context, expression string) T { //nolint:revive // the tab is whom it asks
	d.t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[T](expression))
	if err != nil {
		d.t.Fatal(err)
	}
	return value
}

// screenshot keeps a picture of the whole page where PORTICO_TEST_SCREENSHOTS
// says.
func (d *demo) screenshot(tab context.Context, name string) {
	d.t.Helper()
	d.picture(tab, name, chromedp.FullScreenshot(100))
}

// picture keeps one that is taken in another way.
func (d *demo) picture(tab context.Context, name string, take chromedp.Action[[]byte]) {
	d.t.Helper()
	folder := os.Getenv("PORTICO_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	d.do(tab, "what moves comes to rest", holds("document.getAnimations().every(a => a.playState == 'finished')"))
	picture, err := chromedp.Run(tab, take)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// get asks a server of the demo directly.
func (d *demo) get(url string) string {
	d.t.Helper()
	response, err := (&http.Client{Timeout: 30 * time.Second}).Get(url)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&raw); err != nil {
		d.t.Fatal(err)
	}
	return string(raw)
}

// link waits for the newest mail to the address.
func (d *demo) link(email string) (link string) {
	d.t.Helper()
	await.Until(d.t, "the mail", func() error {
		found := regexp.MustCompile(`"link":"([^"]*)"`).FindStringSubmatch(d.get(d.sim + "/sim/mailbox?to=" + email))
		if found == nil {
			return errors.New("no mail yet")
		}
		link = found[1]
		return nil
	})
	return link
}

// cookies are those that the browser keeps for Portico and for the example app.
func (d *demo) cookies() (found []*network.Cookie) {
	d.t.Helper()
	all, err := chromedp.CallBrowser(d.browser, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, cookie := range all.Cookies {
		if strings.Contains(cookie.Name, "portico") {
			found = append(found, cookie)
		}
	}
	return found
}

func TestTheWholeStoryInABrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	first := d.browser

	d.do(first, "sign up", chromedp.Navigate(d.example), sees("h1", "Welcome"))
	d.screenshot(first, "welcome")
	d.do(first, "a wrong address", chromedp.SendKeys("#email", "ada@example"), chromedp.Click("[data-form=signup] button"),
		sees("#email-error", "not an e-mail address"))
	d.do(first, "the right one", types("#email", "ada@example.com"),
		chromedp.SendKeys("#name", "Ada Lovelace"), chromedp.Click("[data-form=signup] button"),
		sees("h1", "Check your mail"), sees("[data-step=invited].done", "mail"))
	d.screenshot(first, "check-your-mail")
	link := d.link("ada@example.com")

	enrolling := d.tab()
	d.do(enrolling, "enrol", chromedp.Navigate(link), chromedp.Submit("form"), sees("h1", "Your account"), sees("#who", "Ada Lovelace"))
	d.screenshot(enrolling, "account")
	d.do(first, "the tab that waited is signed in as well", sees("h1", "Your account"))

	d.onlyOneCookie()

	d.do(first, "another name", types("#profile-name", "Countess"), chromedp.Click("[data-form=profile] button"),
		sees("#who", "Countess"), sees("#notices", "Saved"))

	d.do(first, "log out", chromedp.Click("[data-action=logout]"), sees("h1", "Welcome"))
	d.do(enrolling, "the other tab sees it", sees("h1", "Welcome"))
	d.do(first, "the way back leads to nothing of the account", chromedp.NavigateBack())
	if text := evaluate[string](d, first, `document.documentElement.outerHTML`); strings.Contains(text, "ada@example.com") || strings.Contains(text, "Countess") {
		t.Errorf("the way back shows %s", text)
	}
	d.do(first, "to the app again", chromedp.Navigate(d.example), sees("h1", "Welcome"))
	d.do(enrolling, "and so does who comes back to it", chromedp.Reload(), sees("h1", "Welcome"))
	if left := d.cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %+v", left)
	}

	var both sync.WaitGroup
	for _, tab := range []context.Context{first, enrolling} {
		both.Go(func() {
			d.do(tab, "two tabs sign in at once", chromedp.Click("[data-link=login]"), sees("h1", "Your account"))
		})
	}
	both.Wait()
	d.do(first, "back and forth", chromedp.NavigateBack(), chromedp.Navigate(d.example), sees("h1", "Your account"))
	if left := d.cookies(); len(left) != 1 {
		t.Errorf("flows have left cookies: %+v", left)
	}

	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(first, emulation.SetEmulatedMedia, dark); err != nil {
		t.Fatal(err)
	}
	d.do(first, "dark, on a phone", chromedp.EmulateViewport(390, 844), sees("h1", "Your account"))
	if evaluate[bool](d, first, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page is wider than a phone")
	}
	d.screenshot(first, "account-phone-dark")

	d.do(first, "delete", chromedp.Click("[data-action=delete]"), chromedp.Click("#confirm-delete [value=yes]", chromedp.NodeVisible), sees("h1", "Welcome"))
	if left := d.cookies(); len(left) != 0 {
		t.Errorf("the deletion has left cookies: %+v", left)
	}

	d.noComplaints()
}
