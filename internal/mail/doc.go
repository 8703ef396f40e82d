// Package mail writes to people about their account here. What a user gets to
// enrol a passkey by, the provider sends.
//
//	letter         to                               says
//	notice         the owner of a registered        that somebody signed up with it,
//	               address                          or wants it for their account
//	email_proof    an address that a user wants     the code that proves it is theirs
//	email_changed  an account's old address         that it has another one now
//	closing        the owner of an account          when it will be deleted
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
// A letter's Message-ID follows from its ID, so that a second try after an
// ambiguous first is recognisable as the same letter.
//
// The wording comes from templates that a directory of the operator's can
// replace file by file; [LoadTemplates] tries each of them at once, so that a
// broken one fails the start and not a letter:
//
//	LETTER.LANG.subject.tmpl  text/template, one line
//	LETTER.LANG.txt.tmpl      text/template
//	LETTER.LANG.html.tmpl     html/template, what stands inside the layout
//	layout.html.tmpl          html/template, around {{template "content" .}}
//
// LANG is a language tag (BCP 47): en, de, fr, es and it are built in, others
// may be added to each letter. All see {{.App}}, {{.LoginURL}}, {{.Email}} and
// {{.Lang}}; notice also {{.Name}}, which may be empty, email_proof {{.Code}} and
// {{.Until}}, closing {{.Until}}, and the layout {{.Subject}}.
//
// It refuses to own whether and how often a letter is due, retries, and where
// settings and files come from. It logs nothing.
package mail
