package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

type vector struct {
	Name    string
	Context struct {
		Credentials struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
			Token  string
		}
		Expiration int  `json:"expiration_in_seconds"`
		Normalize  bool `json:"normalize"`
		OmitToken  bool `json:"omit_session_token"`
		SignBody   bool `json:"sign_body"`
		Region     string
		Service    string
		Timestamp  time.Time
	}
	Request         string
	HeaderCanonical string `json:"header_canonical_request"`
	HeaderToSign    string `json:"header_string_to_sign"`
	HeaderSignature string `json:"header_signature"`
	HeaderSigned    string `json:"header_signed_request"`
	QueryCanonical  string `json:"query_canonical_request"`
	QueryToSign     string `json:"query_string_to_sign"`
	QuerySignature  string `json:"query_signature"`
	QuerySigned     string `json:"query_signed_request"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) < 38 {
		t.Fatalf("%d vectors", len(v))
	}
	return v
}

// read turns the text of a vector into a request and its body.
func read(text string) (Request, string) {
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.ReplaceAll(head, "\n ", " ")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	target := strings.TrimSuffix(rest, " HTTP/1.1")
	r := Request{Method: method, Header: make(http.Header)}
	r.Path, r.RawQuery, _ = strings.Cut(target, "?")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "host") {
			r.Host = strings.TrimSpace(value)
			continue
		}
		r.Header.Add(name, value)
	}
	return r, body
}

func TestVectors_canonical(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			for _, form := range []struct{ signed, canonical, toSign, signature string }{
				{v.HeaderSigned, v.HeaderCanonical, v.HeaderToSign, v.HeaderSignature},
				{v.QuerySigned, v.QueryCanonical, v.QueryToSign, v.QuerySignature},
			} {
				r, body := read(form.signed)
				if v.Context.OmitToken { // added to the request after it was signed: not what any service here takes
					if _, err := Parse(r); err == nil && !strings.Contains(r.RawQuery, "X-Amz-Security-Token") {
						t.Fatal("a token that is not signed was accepted")
					}
					r.Header.Del("X-Amz-Security-Token")
					r.RawQuery = withoutToken(r.RawQuery)
				}
				a, err := Parse(r)
				if err != nil {
					t.Fatal(err)
				}
				hash, err := a.PayloadHash(r, []byte(body))
				if err != nil {
					t.Fatal(err)
				}
				got := appendCanonical(nil, &r, a.SignedHeaders, hash, false, v.Context.Normalize, a.Presigned)
				if string(got) != form.canonical {
					t.Fatalf("canonical request\ngot  %q\nwant %q", got, form.canonical)
				}
				if s := a.appendStringToSign(nil, got); string(s) != form.toSign {
					t.Fatalf("string to sign\ngot  %q\nwant %q", s, form.toSign)
				}
				if a.Signature != form.signature {
					t.Fatalf("signature %s, want %s", a.Signature, form.signature)
				}
				if err := a.Verify(r, hash, v.Context.Credentials.Secret, v.Context.Timestamp); err != nil {
					t.Fatal(err)
				}
				refuseAltered(t, r, a, hash, v)
			}
		})
	}
}

func withoutToken(query string) string {
	before, rest, found := strings.Cut(query, "X-Amz-Security-Token=")
	if !found {
		return query
	}
	_, after, _ := strings.Cut(rest, "&")
	return before + after
}

// refuseAltered changes everything that a signature covers, one at a time.
func refuseAltered(t *testing.T, good Request, a Authorization, hash string, v vector) {
	t.Helper()
	for name, alter := range map[string]func(r *Request, hash, secret *string, now *time.Time){
		"method":    func(r *Request, _, _ *string, _ *time.Time) { r.Method = "PUT" },
		"path":      func(r *Request, _, _ *string, _ *time.Time) { r.Path += "x" },
		"path case": func(r *Request, _, _ *string, _ *time.Time) { r.Path = "/EXAMPLE/%2E" + r.Path },
		"query":     func(r *Request, _, _ *string, _ *time.Time) { r.RawQuery += "&added=1" },
		"host":      func(r *Request, _, _ *string, _ *time.Time) { r.Host = "evil." + r.Host },
		"payload":   func(_ *Request, h, _ *string, _ *time.Time) { *h = strings.Repeat("0", 64) },
		"secret":    func(_ *Request, _, s *string, _ *time.Time) { *s += "x" },
		"no secret": func(_ *Request, _, s *string, _ *time.Time) { *s = "" },
		"too late":  func(_ *Request, _, _ *string, now *time.Time) { *now = now.Add(2 * time.Hour) },
		"too early": func(_ *Request, _, _ *string, now *time.Time) { *now = now.Add(-Skew - time.Second) },
		"signature": func(r *Request, _, _ *string, _ *time.Time) {
			swap := strings.NewReplacer("Signature="+v.HeaderSignature, "Signature="+flip(v.HeaderSignature), "Signature="+v.QuerySignature, "Signature="+flip(v.QuerySignature))
			r.RawQuery = swap.Replace(r.RawQuery)
			r.Header.Set("Authorization", swap.Replace(r.Header.Get("Authorization")))
			if !a.Presigned {
				return
			}
			r.Header.Del("Authorization")
		},
		"scope": func(r *Request, _, _ *string, _ *time.Time) {
			r.RawQuery = strings.Replace(r.RawQuery, "us-east-1", "us-east-2", 1)
			if a := r.Header.Get("Authorization"); a != "" {
				r.Header.Set("Authorization", strings.Replace(a, "us-east-1", "us-east-2", 1))
			}
		},
	} {
		r := good
		r.Header = good.Header.Clone()
		h, secret, now := hash, v.Context.Credentials.Secret, v.Context.Timestamp
		alter(&r, &h, &secret, &now)
		if accepted(r, h, secret, now) {
			t.Errorf("altered %s was accepted", name)
		}
	}
	for _, name := range strings.Split(a.SignedHeaders, ";") {
		r := good
		r.Header = good.Header.Clone()
		if name == "host" {
			continue
		}
		r.Header.Set(name, r.Header.Get(name)+"1")
		if accepted(r, hash, v.Context.Credentials.Secret, v.Context.Timestamp) {
			t.Errorf("altered header %s was accepted", name)
		}
		r.Header.Del(name)
		if accepted(r, hash, v.Context.Credentials.Secret, v.Context.Timestamp) {
			t.Errorf("request without header %s was accepted", name)
		}
	}
}

func accepted(r Request, hash, secret string, now time.Time) bool {
	verdict := func(r Request) error {
		a, err := Parse(r)
		if err != nil {
			return err
		}
		return a.Verify(r, hash, secret, now)
	}
	err, other := verdict(r), verdict(asFields(r))
	if fmt.Sprint(err) != fmt.Sprint(other) {
		panic(fmt.Sprintf("of a map: %v, of a list: %v, of %+v", err, other, r))
	}
	return err == nil
}

// asFields gives a request whose header is a list of fields, in some order and spelling.
func asFields(r Request) Request {
	r.Fields = []Field{}
	for name, values := range r.Header {
		for i, v := range values {
			spelled := []byte(name)
			for j, c := range spelled {
				if 'a' <= c|0x20 && c|0x20 <= 'z' && (i+j*len(v))%3 == 0 {
					spelled[j] ^= 0x20
				}
			}
			r.Fields = append(r.Fields, Field{string(spelled), v})
		}
	}
	r.Header = nil
	return r
}

func flip(signature string) string {
	if signature[0] == '0' {
		return "1" + signature[1:]
	}
	return "0" + signature[1:]
}

func TestVectors_sign(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if !v.Context.Normalize || v.Context.OmitToken {
			continue
		}
		c := Credentials{v.Context.Credentials.ID, v.Context.Credentials.Secret, v.Context.Credentials.Token}
		r, body := read(v.Request)
		hash := HashOf([]byte(body))
		if v.Context.SignBody {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		Sign(&r, hash, c, v.Context.Region, v.Context.Service, v.Context.Timestamp)
		if !strings.HasSuffix(r.Header.Get("Authorization"), v.HeaderSignature) {
			t.Errorf("%s: Sign gave %s, want %s", v.Name, r.Header.Get("Authorization"), v.HeaderSignature)
		}
		if body != "" {
			continue
		}
		p, _ := read(v.Request)
		q := Presign(&p, c, v.Context.Region, v.Context.Service, v.Context.Timestamp, time.Duration(v.Context.Expiration)*time.Second)
		if !strings.HasSuffix(q, v.QuerySignature) {
			t.Errorf("%s: Presign gave %s, want %s", v.Name, q, v.QuerySignature)
		}
	}
}

var (
	testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	testCred = Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}
)

func signedGet() Request {
	r := Request{Method: "GET", Path: "/latest/require-auth", Host: "a.execute-api.us-east-1.amazonaws.com", Header: http.Header{"X-Api-Key": {"k"}}}
	Sign(&r, EmptyPayload, testCred, "us-east-1", "execute-api", testTime)
	return r
}

func TestVerify_skew(t *testing.T) {
	t.Parallel()
	r := signedGet()
	for _, tt := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {Skew, true}, {-Skew, true}, {Skew + time.Second, false}, {-Skew - time.Second, false}} {
		if got := accepted(r, EmptyPayload, "secret", testTime.Add(tt.off)); got != tt.want {
			t.Errorf("%v: accepted=%v, want %v", tt.off, got, tt.want)
		}
	}
}

func TestPresign_expiry(t *testing.T) {
	t.Parallel()
	r := Request{Method: "GET", Path: "/dev/a b%2Fc/../d", RawQuery: "q=a+b&z=%7e&q=%2B&flag", Host: "x", Header: http.Header{}}
	r.RawQuery = Presign(&r, Credentials{"ASIAX", "secret", "to+k/en=="}, "eu-west-1", "execute-api", testTime, time.Hour)
	a, err := Parse(r)
	if err != nil || !a.Presigned || a.SecurityToken != "to+k/en==" {
		t.Fatalf("Parse: %+v, %v", a, err)
	}
	for _, tt := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {time.Hour, true}, {time.Hour + time.Second, false}, {-Skew - time.Second, false}} {
		if got := a.Verify(r, EmptyPayload, "secret", testTime.Add(tt.off)) == nil; got != tt.want {
			t.Errorf("%v: accepted=%v, want %v", tt.off, got, tt.want)
		}
	}
	longer := r
	longer.RawQuery = strings.Replace(r.RawQuery, "X-Amz-Expires=3600", "X-Amz-Expires=36000", 1)
	if accepted(longer, EmptyPayload, "secret", testTime) {
		t.Error("a longer expiry was accepted")
	}
}

// Without a life of its own a presigned request lives as long as a signed one.
func TestPresign_noExpiry(t *testing.T) {
	t.Parallel()
	r := Request{Method: "GET", Path: "/", RawQuery: "Action=GetCallerIdentity", Host: "sts", Header: http.Header{}}
	r.RawQuery = Presign(&r, testCred, "us-east-1", "sts", testTime, 0)
	for off, want := range map[time.Duration]bool{0: true, Skew: true, -Skew: true, Skew + time.Second: false, -Skew - time.Second: false} {
		if got := accepted(r, EmptyPayload, "secret", testTime.Add(off)); got != want {
			t.Errorf("%v: accepted=%v, want %v", off, got, want)
		}
	}
	r.RawQuery += "&X-Amz-Expires=604800"
	if accepted(r, EmptyPayload, "secret", testTime) {
		t.Error("a life added later was accepted")
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	auth := signedGet().Header.Get("Authorization")
	presigned := func() string {
		r := Request{Method: "GET", Path: "/", Host: "x", Header: http.Header{}}
		return Presign(&r, testCred, "us-east-1", "s3", testTime, time.Hour)
	}()
	for name, tt := range map[string]struct {
		alter func(r *Request)
		code  string
	}{
		"unsigned":        {func(r *Request) { r.Header.Del("Authorization") }, ""},
		"bearer":          {func(r *Request) { r.Header.Set("Authorization", "Bearer x") }, ""},
		"both forms":      {func(r *Request) { r.RawQuery = presigned }, "IncompleteSignature"},
		"two headers":     {func(r *Request) { r.Header.Add("Authorization", auth) }, "IncompleteSignature"},
		"sigv4a":          {func(r *Request) { r.Header.Set("Authorization", strings.Replace(auth, "HMAC", "ECDSA-P256", 1)) }, "IncompleteSignature"},
		"no date":         {func(r *Request) { r.Header.Del("X-Amz-Date") }, "IncompleteSignature"},
		"two dates":       {func(r *Request) { r.Header.Add("X-Amz-Date", "20260304T050607Z") }, "IncompleteSignature"},
		"other day":       {func(r *Request) { r.Header.Set("X-Amz-Date", "20260305T050607Z") }, "SignatureDoesNotMatch"},
		"host not signed": {func(r *Request) { r.Header.Set("Authorization", strings.Replace(auth, "host;", "", 1)) }, "SignatureDoesNotMatch"},
		"date not signed": {func(r *Request) { r.Header.Set("Authorization", strings.Replace(auth, ";x-amz-date", "", 1)) }, "SignatureDoesNotMatch"},
		"unordered": {func(r *Request) {
			r.Header.Set("Authorization", strings.Replace(auth, "host;x-amz-date", "x-amz-date;host", 1))
		}, "IncompleteSignature"},
		"unsigned amz header":  {func(r *Request) { r.Header.Set("X-Amz-Target", "X.Y") }, "SignatureDoesNotMatch"},
		"unsigned token":       {func(r *Request) { r.Header.Set("X-Amz-Security-Token", "t") }, "SignatureDoesNotMatch"},
		"terminator":           {func(r *Request) { r.Header.Set("Authorization", strings.Replace(auth, "aws4_request", "aws5", 1)) }, "SignatureDoesNotMatch"},
		"no signature":         {func(r *Request) { r.Header.Set("Authorization", auth[:strings.Index(auth, ", Signature")]) }, "IncompleteSignature"},
		"signature upper case": {func(r *Request) { r.Header.Set("Authorization", auth[:len(auth)-64]+strings.Repeat("A", 64)) }, "SignatureDoesNotMatch"},
		"signature prefix":     {func(r *Request) { r.Header.Set("Authorization", auth[:len(auth)-1]) }, "SignatureDoesNotMatch"},
		"repeated parameter":   {func(r *Request) { r.Header.Set("Authorization", auth+", Signature="+auth[len(auth)-64:]) }, "IncompleteSignature"},
		"query without expiry": {func(r *Request) {
			r.Header = http.Header{}
			r.RawQuery = strings.Replace(presigned, "X-Amz-Expires=3600&", "", 1)
		}, "IncompleteSignature"},
		"query empty expiry": {func(r *Request) {
			r.Header.Del("Authorization")
			r.RawQuery = strings.Replace(presigned, "X-Amz-Expires=3600&", "X-Amz-Expires=&", 1)
		}, "IncompleteSignature"},
		"query two expiries": {func(r *Request) {
			r.Header.Del("Authorization")
			r.RawQuery = "X-Amz-Expires=&" + presigned
		}, "IncompleteSignature"},
		"query two signatures": {func(r *Request) { r.Header.Del("Authorization"); r.RawQuery = presigned + "&X-Amz-Signature=0" }, "IncompleteSignature"},
		"query escaped name":   {func(r *Request) { r.Header.Del("Authorization"); r.RawQuery = presigned + "&X-Amz-%53ignature=0" }, "IncompleteSignature"},
		"query eight days": {func(r *Request) {
			r.Header.Del("Authorization")
			r.RawQuery = strings.Replace(presigned, "Expires=3600", "Expires=691200", 1)
		}, "IncompleteSignature"},
	} {
		r := signedGet()
		tt.alter(&r)
		_, err := Parse(r)
		var e *Error
		switch {
		case tt.code == "" && !errors.Is(err, ErrMissing):
			t.Errorf("%s: got %v, want ErrMissing", name, err)
		case tt.code != "" && (!errors.As(err, &e) || e.Code != tt.code):
			t.Errorf("%s: got %v, want %s", name, err, tt.code)
		}
	}
	if _, err := Parse(signedGet()); err != nil {
		t.Errorf("the unaltered request: %v", err)
	}
}

// The header set that the package aws4 signs in a browser: without a payload hash.
func TestVerify_aws4(t *testing.T) {
	t.Parallel()
	r := Request{Method: "GET", Path: "/latest/require-auth", Host: "api.example", Header: http.Header{"X-Api-Key": {"key"}}}
	Sign(&r, EmptyPayload, Credentials{"ASIA1", "secret", "token"}, "us-west-2", "execute-api", testTime)
	r.Header.Set("User-Agent", "browser")
	r.Header.Set("Accept", "*/*")
	a, err := Parse(r)
	if err != nil || a.SignedHeaders != "host;x-amz-date;x-amz-security-token;x-api-key" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := a.Verify(r, EmptyPayload, "secret", testTime); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", "other")
	if accepted(r, EmptyPayload, "secret", testTime) {
		t.Error("another API key was accepted")
	}
}

func TestVerify_pathIsTheOneSent(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/a%2Fb", "/a%20b", "/a b", "/ü", "/a+b", "/a//b", "/a/./b", "/%2e%2e/x", "/a:b@c"} {
		for _, service := range []string{"execute-api", "s3"} {
			r := Request{Method: "GET", Path: path, Host: "h", Header: http.Header{}}
			Sign(&r, EmptyPayload, testCred, "r", service, testTime)
			if !accepted(r, EmptyPayload, "secret", testTime) {
				t.Errorf("%s %s refused", service, path)
			}
			altered := r
			altered.Path = strings.Replace(path, "a", "c", 1) + "/"
			if accepted(altered, EmptyPayload, "secret", testTime) {
				t.Errorf("%s %s accepted for %s", service, altered.Path, path)
			}
		}
	}
	// What the sender escaped once must not be exchangeable with what it is.
	r := Request{Method: "GET", Path: "/a%2Fb", Host: "h", Header: http.Header{}}
	Sign(&r, EmptyPayload, testCred, "r", "execute-api", testTime)
	r.Path = "/a/b"
	if accepted(r, EmptyPayload, "secret", testTime) {
		t.Error("/a/b accepted for /a%2Fb")
	}
}

func TestKeys(t *testing.T) { // not parallel: it counts allocations
	var keys Keys
	r := signedGet()
	a, _ := Parse(r)
	if err := a.VerifyWith(&keys, r, EmptyPayload, "other", testTime); err == nil || len(keys.keys) != 0 {
		t.Fatalf("a wrong secret: %v, %d keys kept", err, len(keys.keys))
	}
	for range 2 {
		if err := a.VerifyWith(&keys, r, EmptyPayload, "secret", testTime); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys.keys) != 1 {
		t.Fatalf("%d keys", len(keys.keys))
	}
	for form, r := range map[string]Request{"map": r, "list": asFields(r)} {
		n := testing.AllocsPerRun(100, func() {
			a, err := Parse(r)
			if err != nil || a.VerifyWith(&keys, r, EmptyPayload, "secret", testTime) != nil {
				t.Fatal("refused")
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations per verification", form, n)
		}
	}
}

func TestKeyedHash(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"", "a", strings.Repeat("long", 100)} {
		key := sha256.Sum256([]byte(message + "key"))
		h := hmac.New(sha256.New, key[:])
		h.Write([]byte(message))
		if got := keyedHash(&key, append(make([]byte, sha256.BlockSize), message...)); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("%q: %x", message, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(signedGet().Header.Get("Authorization"), "a=b")
	f.Add("", "X-Amz-Signature=1&X-Amz-Algorithm=AWS4-HMAC-SHA256")
	f.Fuzz(func(t *testing.T, auth, query string) {
		r := Request{Method: "GET", Path: "/", Host: "h", RawQuery: query, Header: http.Header{"Authorization": {auth}, "X-Amz-Date": {"20260304T050607Z"}}}
		a, err := Parse(r)
		if b, other := Parse(asFields(r)); fmt.Sprint(err) != fmt.Sprint(other) || a != b {
			t.Fatalf("of a map: %v, of a list: %v", err, other)
		}
		if err != nil {
			return
		}
		if a.Verify(r, EmptyPayload, "a secret nobody knows", testTime) == nil {
			t.Fatalf("accepted %q %q", auth, query)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for form, r := range map[string]Request{"map": signedGet(), "list": asFields(signedGet())} {
		b.Run(form, func(b *testing.B) {
			var keys Keys
			b.ReportAllocs()
			for b.Loop() {
				a, _ := Parse(r)
				if err := a.VerifyWith(&keys, r, EmptyPayload, "secret", testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestParseBasic(t *testing.T) {
	t.Parallel()
	same := func(s string) {
		want, err := time.Parse(timeLayout, s)
		if got, ok := parseBasic(s); ok != (err == nil && len(s) == len(timeLayout)) || ok && (!got.Equal(want) || got.Location() != want.Location()) {
			t.Errorf("%q: %v %v, want %v %v", s, got, ok, want, err)
		}
	}
	for _, s := range []string{"", "20260304T050607Z", "20260230T050607Z", "20240229T235959Z", "20230229T000000Z", "00000101T000000Z", "99991231T235959Z", "20261301T000000Z", "20260001T000000Z",
		"20260100T000000Z", "20260132T000000Z", "20260431T000000Z", "20260101T240000Z", "20260101T006000Z", "20260101T000060Z", "20260101t000000Z", "20260101T000000z", "20260101T00000 Z", "20260101T00000.5Z", "2026-101T000000Z", "20260101T000000.5Z", "+0260101T000000Z"} {
		same(s)
	}
	for i := range len(timeLayout) {
		for c := range 256 {
			same("20260304T050607Z"[:i] + string([]byte{byte(c)}) + "20260304T050607Z"[i+1:])
		}
	}
}

func TestIsName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, lower string
		want        bool
	}{
		{"X-Amz-Date", "x-amz-date", true}, {"x-amz-date", "x-amz-date", true}, {"", "", true}, {"X-Amz-Dat", "x-amz-date", false},
		{"X", "X", true}, {"x", "X", false}, {"x", "\u017f", false}, {"\u212a", "k", false}, {"@", "`", false}, {"[", "{", false}, {"-", "\r", false},
	} {
		if got := isName(tt.name, tt.lower); got != tt.want {
			t.Errorf("%q and %q: %v", tt.name, tt.lower, got)
		}
	}
}

// Requests that AWS's own clients signed, as they stood on the wire.
func TestVerify_clients(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	var requests []struct {
		Method, URL, Body string
		Header            map[string]string
	}
	if err := json.Unmarshal(data, &requests); err != nil {
		t.Fatal(err)
	}
	for _, c := range requests {
		r := Request{Method: c.Method, Host: c.Header["host"], Header: http.Header{}}
		r.Path, r.RawQuery, _ = strings.Cut(c.URL, "?")
		for k, v := range c.Header {
			if k != "host" {
				r.Header.Set(k, v)
			}
		}
		a, err := Parse(r)
		if err != nil {
			t.Errorf("%s %s: %v", c.Method, c.URL, err)
			continue
		}
		hash := r.Header.Get("X-Amz-Content-Sha256")
		if hash == "" {
			hash = HashOf([]byte(c.Body))
		}
		if err := a.Verify(r, hash, "test", a.Time); err != nil {
			t.Errorf("%s %s: %v", c.Method, c.URL, err)
		}
		if err := a.Verify(r, hash, "tesu", a.Time); err == nil {
			t.Errorf("%s %s: another secret was accepted", c.Method, c.URL)
		}
		r.Path += "/x"
		if err := a.Verify(r, hash, "test", a.Time); err == nil {
			t.Errorf("%s %s: another path was accepted", c.Method, c.URL)
		}
	}
	if len(requests) < 10 {
		t.Errorf("%d requests", len(requests))
	}
}
