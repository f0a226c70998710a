package issuer

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"moat/internal/outbound"
)

// stranger is a client that trusts no authority but the machine's.
func stranger(private bool) *http.Client {
	return &http.Client{Transport: outbound.NewTransport(private)}
}

func TestForeignKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t, newKey(t, "a"))
	sum := sha1.Sum(p.Certificate().Raw)
	print := hex.EncodeToString(sum[:])
	other := strings.Repeat("0", 40)
	for name, tt := range map[string]struct {
		client *http.Client
		prints []string
		want   error
	}{
		"an authority vouches":              {p.Client(), nil, nil},
		"an authority vouches, wrong print": {p.Client(), []string{other}, nil},
		"thumbprint":                        {stranger(true), []string{other, print}, nil},
		"thumbprint, upper case":            {stranger(true), []string{strings.ToUpper(print)}, nil},
		"wrong thumbprint":                  {stranger(true), []string{other}, ErrThumbprint},
		"no thumbprint":                     {stranger(true), nil, ErrUnreachable},
		"a private address":                 {stranger(false), []string{print}, outbound.ErrForbidden},
		"nothing may be fetched":            {nil, []string{print}, errAny},
	} {
		r := New(Config{Client: tt.client})
		for range 2 { // remembered refusals are refusals
			keys, err := r.ForeignKeys(t.Context(), p.URL, tt.prints)
			switch {
			case tt.want == nil && err != nil, tt.want == errAny && err == nil, tt.want != nil && tt.want != errAny && !errors.Is(err, tt.want):
				t.Errorf("%s: %v", name, err)
			case err == nil:
				if _, ok := keys.Key("a"); !ok {
					t.Errorf("%s: no key", name)
				}
			}
		}
	}
	// A known certificate does not vouch for another name.
	r := New(Config{Client: stranger(true)})
	if _, err := r.ForeignKeys(t.Context(), strings.Replace(p.URL, "127.0.0.1", "localhost", 1), []string{print}); !errors.Is(err, ErrThumbprint) {
		t.Errorf("another host: %v", err)
	}
	for _, issuer := range []string{strings.Replace(p.URL, "https", "http", 1), "https://", "file:///etc/passwd", "", "https://u:p@127.0.0.1"} {
		if _, err := r.ForeignKeys(t.Context(), issuer, []string{print}); err == nil {
			t.Errorf("%q: keys", issuer)
		}
	}
}

var errAny = errors.New("any")

func TestForeignKeys_redirects(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, to := range map[string]string{"to http": plain.URL, "to itself": "/.well-known/openid-configuration", "to metadata": "https://169.254.169.254/"} {
		s := httptest.NewTLSServer(http.RedirectHandler(to, http.StatusFound))
		defer s.Close()
		sum := sha1.Sum(s.Certificate().Raw)
		r := New(Config{Client: stranger(true)})
		if _, err := r.ForeignKeys(t.Context(), s.URL, []string{hex.EncodeToString(sum[:])}); !errors.Is(err, errRedirect) && !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
