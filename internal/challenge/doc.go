// Package challenge asks a service whether the token that came with a request
// is proof of a challenge that somebody has just passed in our app. Any service
// with the siteverify interface will do:
//
//	Cloudflare Turnstile   https://challenges.cloudflare.com/turnstile/v0/siteverify
//	hCaptcha               https://api.hcaptcha.com/siteverify
//	reCAPTCHA v2 and v3    https://www.google.com/recaptcha/api/siteverify
//
// What an answer means:
//
//	success, at one of our hostnames                     nil
//	success elsewhere, or with a score below one half    ErrRefused
//	no success: token missing, wrong, expired or used    ErrRefused
//	no success: our secret is missing or wrong           ErrMisconfigured
//	no answer in time, or none that makes sense          ErrUnavailable
//
// Whatever is not a clear yes lets nobody in. A token is spent by asking, so
// that nothing is asked twice.
//
// It refuses to own when a challenge is asked for and what is answered to whom
// (package api), and the widget (the app's).
package challenge
