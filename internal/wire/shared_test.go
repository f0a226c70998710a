package wire_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

// echo answers a sign-in with what it was asked, fails at some, and panics at others.
type echo struct{ cognitoidpapi.Unimplemented }

func (echo) InitiateAuth(_ context.Context, in *cognitoidpapi.InitiateAuthRequest) (*cognitoidpapi.InitiateAuthResponse, error) {
	name := in.AuthParameters["USERNAME"]
	switch name[0] {
	case 'p':
		panic("at " + name)
	case 'f':
		return nil, &cognitoidpapi.NotAuthorizedException{Message: name}
	}
	return &cognitoidpapi.InitiateAuthResponse{ChallengeName: "PASSWORD_VERIFIER", ChallengeParameters: map[string]string{"USERNAME": name}}, nil
}

// Of many callers at once, by HTTP/1 and HTTP/2, some of whom leave before they have sent or read everything, each
// gets what is his, and so does the record.
func TestPipeline_sharedMemory_atOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var records []wire.Record
	p := wire.New(wire.Config{Account: account, Region: region, Now: time.Now, Rand: rand.Reader, APIs: []*wire.API{cognitoidpapi.New(echo{})}, Record: func(r wire.Record) {
		mu.Lock()
		defer mu.Unlock()
		records = append(records, r)
	}})
	var all sync.WaitGroup
	for _, two := range []bool{false, true} {
		server := httptest.NewUnstartedServer(p)
		server.EnableHTTP2 = two
		if server.StartTLS(); two != (server.Client().Transport.(*http.Transport).ForceAttemptHTTP2) {
			t.Fatal("another protocol")
		}
		t.Cleanup(server.Close)
		for caller := range 6 {
			all.Go(func() {
				for i := range 60 {
					ask(t, server, caller, i)
				}
			})
		}
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, r := range records {
		if in, ok := r.Input.(*cognitoidpapi.InitiateAuthRequest); ok && (!whole(in.AuthParameters["USERNAME"]) || in.ClientId != "abc") {
			t.Errorf("recorded %.80q of %.80q", in.AuthParameters["USERNAME"], in.ClientId)
		}
		if out, ok := r.Output.(*cognitoidpapi.InitiateAuthResponse); ok && out != nil && !whole(out.ChallengeParameters["USERNAME"]) {
			t.Errorf("recorded that it answered %.80q", out.ChallengeParameters["USERNAME"])
		}
	}
}

// nameOf is a name that shows when a part of it is another's.
func nameOf(kind string, caller, i int) string {
	mark := fmt.Sprintf("%s%d-%d.", kind, caller, i)
	return strings.Repeat(mark, 1+[]int{3, 400, 40, 2500}[i%4])
}

func whole(name string) bool {
	mark, _, ok := strings.Cut(name, ".")
	return ok && strings.Repeat(mark+".", len(name)/(len(mark)+1)) == name
}

func ask(t *testing.T, server *httptest.Server, caller, i int) {
	name := nameOf([]string{"a", "f", "b", "p", "a"}[i%5], caller, i)
	body := `{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"abc","AuthParameters":{"USERNAME":"` + name + `","PASSWORD":"x"}}`
	var sent io.Reader = strings.NewReader(body)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	leaves := i%7 == 6
	switch {
	case leaves && i%2 == 0: // in the middle of its body
		sent = io.MultiReader(strings.NewReader(body[:len(body)/2]), broken{})
	case i%3 == 0: // of unknown length
		sent = io.MultiReader(sent)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, sent)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	w, err := server.Client().Do(r)
	if leaves {
		if err == nil {
			_, _ = io.ReadFull(w.Body, make([]byte, 10))
			_ = w.Body.Close()
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer w.Body.Close()
	got, err := io.ReadAll(w.Body)
	var said struct {
		ChallengeParameters struct{ USERNAME string }
		Message             string `json:"message"`
	}
	if err != nil || json.Unmarshal(got, &said) != nil {
		t.Errorf("%v, answered %.80q", err, got)
	}
	switch answered := said.ChallengeParameters.USERNAME + said.Message; {
	case name[0] == 'p' && strings.HasPrefix(answered, "The request processing has failed because of an unknown error") && len(got) < 200:
	case name[0] == 'p' || answered != name:
		t.Errorf("%d answered %.80q to %.40q", w.StatusCode, got, name)
	}
}

// broken is a body that ends before its end.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
