package trail

import (
	"crypto/rand"
	"testing"

	"moat/internal/wire/iamapi"
)

// What an event costs in the background: made, written as JSON, chained. The request itself pays
// an append.
func BenchmarkEvent(b *testing.B) {
	c, e := newClock(), encoder{account: account, random: rand.Reader}
	l, text, line := newLinks(master, "chain-0000000000000000"), []byte(nil), []byte(nil)
	r := a(c, "3f0c6a52-6d2e-4f0e-9a53-0a4c1c0f9d11", "CreateUser")
	r.Input = &iamapi.CreateUserRequest{UserName: "bob"}
	r.Output = &iamapi.CreateUserResponse{User: &iamapi.User{UserName: "bob", Arn: "arn:aws:iam::000000000000:user/bob"}}
	b.ReportAllocs()
	for b.Loop() {
		ev, err := e.event(&r)
		if err != nil {
			b.Fatal(err)
		}
		text = ev.append(text[:0])
		line = l.append(line[:0], "event", text)
	}
}

func BenchmarkQueue(b *testing.B) {
	q, r := newQueue(defaultPatience), a(newClock(), "r", "CreateUser")
	for i := 0; b.Loop(); i++ {
		if i%1000 == 999 {
			records, _ := q.take()
			q.done(records)
		}
		q.put(r)
	}
}

func BenchmarkSignIn(b *testing.B) {
	c := encoder{account: account, random: rand.Reader}
	r, room := signIn(newClock()), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		e, err := c.event(&r)
		if err != nil {
			b.Fatal(err)
		}
		room = e.append(room[:0])
	}
}
