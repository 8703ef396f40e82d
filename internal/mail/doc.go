// Package mail tells the owner of a registered address that somebody signed
// up with it. Everything else that a user gets by mail, the provider sends.
//
// It owns the wording, the letter and the conversation with the mail server.
// Each failure is a [*SendError] whose [Class] says what the caller may assume:
//
//	class          when                                           what it proves
//	unreachable    no connection, or lost before the last dot     not taken; try again
//	temporary      4xx, at any step                               not taken; try again
//	misconfigured  no or wrong TLS, credentials or sender         not taken; no other letter
//	               refused, a template that fails                 will fare better
//	refused        5xx for the recipient or the letter            not taken; nor will it be
//	ambiguous      no reply after the last dot                    nothing: it may have been taken
//
// A letter's Message-ID follows from Notice.ID, so that a second try after an
// ambiguous first is recognisable as the same letter.
//
// The wording comes from templates that a directory of the operator's can
// replace file by file; [LoadTemplates] tries each of them at once, so that a
// broken one fails the start and not a letter:
//
//	notice.LANG.subject.tmpl  text/template, one line
//	notice.LANG.txt.tmpl      text/template
//	notice.LANG.html.tmpl     html/template, what stands inside the layout
//	layout.html.tmpl          html/template, around {{template "content" .}}
//
// LANG is a language tag (BCP 47): en, de, fr, es and it are built in, others
// may be added. All see {{.App}}, {{.LoginURL}}, {{.Email}}, {{.Name}} and
// {{.Lang}}; the layout also {{.Subject}}. Name may be empty.
//
// It refuses to own whether and how often a notice is due, retries, and where
// settings and files come from. It logs nothing.
package mail
