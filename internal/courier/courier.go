// Package courier carries messages out of the house: e-mails by SMTP, text messages
// to a webhook.
//
// It makes one attempt at a time and keeps nothing; whoever sends decides when to try
// again. Its errors never name a recipient or repeat what was sent.
package courier

import (
	"errors"
	"time"
)

// ErrFinal is wrapped by errors after which trying again is pointless.
var ErrFinal = errors.New("courier: trying again is pointless")

// final marks an error.
type final struct{ error }

func (f final) Is(target error) bool { return target == ErrFinal }
func (f final) Unwrap() error        { return f.error }

// Mail is an e-mail. From and ReplyTo are addresses with or without a name; an empty
// From is the sender's own.
type Mail struct {
	ID            string // of the message; a repetition has the same
	From, ReplyTo string
	To            string // a bare address
	Subject       string
	HTML          string
}

// Text is a text message for the webhook, with what a gateway may want to know.
type Text struct {
	ID        string // of the message; a repetition has the same
	To        string // E.164
	Message   string
	Code      string // that stands in Message; empty when there is none
	Kind      string // what the message is for, such as SignUp
	Pool      string
	PoolName  string
	ExpiresAt time.Time // of the code
}
