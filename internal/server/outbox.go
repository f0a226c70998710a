package server

import (
	"context"
	"fmt"
	"time"

	"moat/internal/store"
)

// outboxLife is how long a message stays in the outbox of `moat dev`.
const outboxLife = 24 * time.Hour

// Message is a mail or text message that `moat dev` keeps instead of sending it.
type Message struct {
	Seq       string    `json:"-"`
	Time      time.Time `json:"time"`
	Medium    string    `json:"medium"`
	To        string    `json:"to"`
	From      string    `json:"from,omitempty"` // as the pool names it
	ReplyTo   string    `json:"replyTo,omitempty"`
	Pool      string    `json:"userPoolId"`
	User      string    `json:"username"`
	Trigger   string    `json:"trigger"` // what the message is for: SignUp, ForgotPassword, ...
	Code      string    `json:"code,omitempty"`
	Link      string    `json:"link,omitempty"`     // in place of the code
	Password  string    `json:"password,omitempty"` // of an invitation
	Subject   string    `json:"subject,omitempty"`
	Text      string    `json:"text"`
	ExpiresAt time.Time `json:"expiresAt"` // of the code or password
}

// outbox keeps the messages of `moat dev`, so that a person or a test can read the code
// that a real installation would send.
type outbox struct {
	db    *store.DB
	table *store.Table[Message]
	now   func() time.Time
}

func newOutbox(db *store.DB, now func() time.Time) (*outbox, error) {
	o := &outbox{db: db, now: now, table: store.NewTable(store.Schema[Message]{
		Name: "server_outbox", Key: []string{"seq"},
		KeyOf:   func(m *Message) []string { return []string{m.Seq} },
		Expires: func(m *Message) time.Time { return m.Time.Add(outboxLife) },
	})}
	return o, db.Create(o.table)
}

// keep stores one message. Two of the same instant keep their order.
// It returns the message as it was kept.
func (o *outbox) keep(ctx context.Context, m Message) (Message, error) {
	m.Time = o.now()
	err := o.db.Update(ctx, func(tx *store.Tx) error {
		for n := 0; ; n++ {
			m.Seq = fmt.Sprintf("%020d-%04d", m.Time.UnixNano(), n)
			if err := o.table.Insert(tx, m); err != store.ErrExists {
				return err
			}
		}
	})
	return m, err
}

// list returns the kept messages to an address, oldest first; an empty address means all.
func (o *outbox) list(ctx context.Context, to string) ([]Message, error) {
	out := []Message{}
	err := o.db.View(ctx, func(tx *store.Tx) error {
		all, err := o.table.List(tx, store.Query{})
		for _, m := range all {
			if to == "" || m.To == to {
				out = append(out, m)
			}
		}
		return err
	})
	return out, err
}
