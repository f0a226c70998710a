package wire_test

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

// signIn answers the two calls of a sign-in at once.
type signIn struct {
	cognitoidpapi.Unimplemented
	challenge *cognitoidpapi.InitiateAuthResponse
	tokens    *cognitoidpapi.RespondToAuthChallengeResponse
}

func (s *signIn) InitiateAuth(context.Context, *cognitoidpapi.InitiateAuthRequest) (*cognitoidpapi.InitiateAuthResponse, error) {
	return s.challenge, nil
}

func (s *signIn) RespondToAuthChallenge(context.Context, *cognitoidpapi.RespondToAuthChallengeRequest) (*cognitoidpapi.RespondToAuthChallengeResponse, error) {
	return s.tokens, nil
}

// sink is a client that forgets what it reads.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

// costOf gives a function that makes the two calls of a sign-in.
func costOf(t testing.TB) func() {
	long, token := strings.Repeat("0123456789abcdef", 48), strings.Repeat("abcdefghijklmno.", 64)
	service := &signIn{
		challenge: &cognitoidpapi.InitiateAuthResponse{ChallengeName: "PASSWORD_VERIFIER", ChallengeParameters: map[string]string{
			"SALT": long[:32], "SECRET_BLOCK": token, "SRP_B": long, "USERNAME": "5b1c1cda-0000-4000-8000-000000000000", "USER_ID_FOR_SRP": "5b1c1cda-0000-4000-8000-000000000000",
		}},
		tokens: &cognitoidpapi.RespondToAuthChallengeResponse{ChallengeParameters: map[string]string{}, AuthenticationResult: &cognitoidpapi.AuthenticationResultType{
			AccessToken: &token, IdToken: &token, RefreshToken: &token, ExpiresIn: wire.Int32(3600), TokenType: wire.String("Bearer"),
		}},
	}
	p := wire.New(wire.Config{
		Account: account, Region: region, Now: time.Now, Rand: rand.Reader, APIs: []*wire.API{cognitoidpapi.New(service)}, Record: func(wire.Record) {},
	})
	call := func(operation, body string) func() {
		header := http.Header{"X-Amz-Target": {"AWSCognitoIdentityProviderService." + operation}, "Content-Type": {"application/x-amz-json-1.1"}}
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/"}, Host: "cognito-idp.eu-west-1.localhost:4566", RemoteAddr: "127.0.0.1:1234", Header: header, ContentLength: int64(len(body))}
		text := strings.NewReader(body)
		r.Body = io.NopCloser(text)
		w := &sink{header: http.Header{}}
		return func() {
			text.Reset(body)
			clear(w.header)
			p.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				t.Fatalf("%s answered %d", operation, w.status)
			}
		}
	}
	first := call("InitiateAuth", `{"AuthFlow":"USER_SRP_AUTH","AuthParameters":{"SRP_A":"`+long+`","USERNAME":"ada"},"ClientId":"1example23456789"}`)
	second := call("RespondToAuthChallenge", `{"ChallengeName":"PASSWORD_VERIFIER","ChallengeResponses":{"PASSWORD_CLAIM_SECRET_BLOCK":"`+token+
		`","PASSWORD_CLAIM_SIGNATURE":"`+long[:44]+`","TIMESTAMP":"Fri Nov 20 12:00:00 UTC 2026","USERNAME":"ada"},"ClientId":"1example23456789"}`)
	return func() { first(); second() }
}

func BenchmarkSignIn(b *testing.B) {
	both := costOf(b)
	b.ReportAllocs()
	for b.Loop() {
		both()
	}
}

// What a call keeps of its body, and what it answered, does not change when another has their memory.
func TestPipeline_sharedMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	names := []string{"ada", "grace", "barbara", strings.Repeat("a", 5000), strings.Repeat("b", 20000), "joan"}
	var answers []string
	var bodies []*httptest.ResponseRecorder
	for range 3 {
		for _, name := range names {
			w := f.do(initiateAuth(name))
			bodies, answers = append(bodies, w), append(answers, w.Body.String())
			f.do(listPools())
		}
	}
	for i := range bodies {
		if got := bodies[i].Body.String(); got != answers[i] || !strings.Contains(got, "User does not exist.") {
			t.Errorf("answer %d is now %q, was %q", i, got, answers[i])
		}
		in, ok := f.records[2*i].Input.(*cognitoidpapi.InitiateAuthRequest)
		if !ok || in.AuthParameters["USERNAME"] != names[i%len(names)] || in.ClientId != "abc" || in.AuthFlow != "USER_PASSWORD_AUTH" {
			t.Errorf("input %d is now %+v", i, in)
		}
	}
}

// deaf is a client that is gone.
type deaf struct{ sink }

func (*deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The memory of an answer whose write failed is nobody else's: it may be read still.
func TestPipeline_failedWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ServeHTTP(&deaf{sink{header: http.Header{}}}, listPools().build())
	if r := f.last(); r.Status != http.StatusOK || r.BytesOut != 0 || r.Step != "encode" {
		t.Errorf("recorded %+v", r)
	}
	if w := f.do(listPools()); w.Code != http.StatusOK || w.Body.String() != "{}" {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}
