package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// reference signs as the IAM user guide tells it ("Create a signed AWS API
// request"), step by step, with the standard library's ideas of paths and queries.
type reference struct {
	r                    Request
	secret, scope, stamp string
	s3                   bool
}

func (f reference) encode(s string, slash bool) string {
	s = url.QueryEscape(s)
	s = strings.NewReplacer("+", "%20", "%7E", "~").Replace(s)
	if slash {
		s = strings.ReplaceAll(s, "%2F", "/")
	}
	return s
}

func (f reference) path() string {
	if f.s3 {
		segments := strings.Split(f.r.Path, "/")
		for i := range segments {
			segments[i], _ = url.PathUnescape(segments[i])
			segments[i] = f.encode(segments[i], false)
		}
		return strings.Join(segments, "/")
	}
	p := path.Clean(f.r.Path)
	if strings.HasSuffix(f.r.Path, "/") && p != "/" {
		p += "/"
	}
	return f.encode(p, true)
}

func (f reference) query() string {
	values, _ := url.ParseQuery(f.r.RawQuery)
	var all []string
	for k, list := range values {
		if k == "X-Amz-Signature" {
			continue
		}
		for _, v := range list {
			all = append(all, f.encode(k, false)+"\x00"+f.encode(v, false))
		}
	}
	slices.Sort(all)
	return strings.ReplaceAll(strings.Join(all, "&"), "\x00", "=")
}

func (f reference) sign(signed []string, payload string) string {
	headers := ""
	for _, name := range signed {
		values := slices.Clone(f.r.Header.Values(name))
		if name == "host" {
			values = []string{f.r.Host}
		}
		for i := range values {
			values[i] = strings.Join(strings.FieldsFunc(values[i], func(c rune) bool { return c == ' ' }), " ")
		}
		headers += name + ":" + strings.Join(values, ",") + "\n"
	}
	canonical := strings.Join([]string{f.r.Method, f.path(), f.query(), headers, strings.Join(signed, ";"), payload}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", f.stamp, f.scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + f.secret)
	for _, part := range append(strings.Split(f.scope, "/"), text) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// FuzzVerify compares with the reference: what it signs is accepted, in the header
// form and presigned, and no neighbour of it.
func FuzzVerify(f *testing.F) {
	f.Add("/a/b", "x=1&y=2", "value", false, false)
	f.Add("/a//b/../c/", "y=%20&x=a+b&x=1&empty&=v", "  two  spaces ", true, false)
	f.Add("/ü/a%2Fb", "%C3%BC=%26", "", false, true)
	f.Add("/", "X-Amz-Signature=1", "x", true, true)
	f.Fuzz(func(t *testing.T, path, query, value string, presigned, s3 bool) {
		if _, err := url.ParseQuery(query); err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(value, "\r\n\t") || strings.Contains(query, "Amz") ||
			strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
			t.Skip() // not a query, a path or a header that can be sent
		}
		if _, err := url.PathUnescape(path); err != nil && s3 {
			t.Skip()
		}
		stamp := testTime.Format("20060102T150405Z")
		r := Request{Method: "PUT", Path: path, RawQuery: query, Host: "h.example", Header: http.Header{"X-Other": {value, "b"}}}
		ref := reference{r: r, secret: "secret", stamp: stamp, scope: "20260304/us-east-1/execute-api/aws4_request"}
		if s3 {
			ref.s3, ref.scope = true, "20260304/us-east-1/s3/aws4_request"
		}
		signed := []string{"host", "x-other"}
		if presigned {
			q := url.Values{"X-Amz-Algorithm": {Algorithm}, "X-Amz-Credential": {"AKIATEST/" + ref.scope}, "X-Amz-Date": {stamp}, "X-Amz-Expires": {"60"}, "X-Amz-SignedHeaders": {"host;x-other"}}
			ref.r.RawQuery = strings.TrimPrefix(query+"&"+q.Encode(), "&")
			ref.r.RawQuery += "&X-Amz-Signature=" + ref.sign(signed, EmptyPayload)
		} else {
			ref.r.Header.Set("X-Amz-Date", stamp)
			signed = append([]string{"host", "x-amz-date"}, "x-other")
			ref.r.Header.Set("Authorization", Algorithm+" Credential=AKIATEST/"+ref.scope+", SignedHeaders="+strings.Join(signed, ";")+", Signature="+ref.sign(signed, EmptyPayload))
		}
		if !accepted(ref.r, EmptyPayload, "secret", testTime) {
			t.Fatalf("refused: %+v", ref.r)
		}
		for name, alter := range map[string]func(*Request){
			"path":   func(r *Request) { r.Path += "a" },
			"query":  func(r *Request) { r.RawQuery = "a&" + r.RawQuery },
			"host":   func(r *Request) { r.Host += ":1" },
			"header": func(r *Request) { r.Header = r.Header.Clone(); r.Header.Add("X-Other", "") },
			"method": func(r *Request) { r.Method = "GET" },
		} {
			other := ref.r
			if alter(&other); accepted(other, EmptyPayload, "secret", testTime) {
				t.Fatalf("altered %s accepted: %+v", name, other)
			}
		}
		if accepted(ref.r, EmptyPayload, "secret", testTime.Add(6*time.Minute)) || accepted(ref.r, HashOf([]byte("x")), "secret", testTime) {
			t.Fatal("late, or with a body: accepted")
		}
	})
}

// S3's paths are neither normalised nor encoded twice; all others are.
func TestVerify_pathOfTheService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		service, signed, sent string
		want                  bool
	}{
		{"s3", "/b/a//c", "/b/a//c", true},
		{"s3", "/b/a//c", "/b/a/c", false},
		{"s3", "/b/a/c", "/b/a//c", false},
		{"s3", "/b/../c", "/c", false},
		{"s3", "/b/%7Ea", "/b/~a", true},
		{"s3", "/b/a%2Fc", "/b/a/c", false},
		{"lambda", "/b/a//c", "/b/a//c", true},
		{"lambda", "/b/a/c", "/b/a//c", true}, // normalised by the signer, as AWS wants
		{"lambda", "/b/a/c", "/b/x/../a/c", true},
		{"lambda", "/b/a/c", "/b/c", false},
		{"lambda", "/b/a%2Fc", "/b/a/c", false},
		{"lambda", "/b/~a", "/b/%7Ea", false},
	} {
		r := Request{Method: "GET", Path: c.signed, Host: "h", Header: http.Header{}}
		Sign(&r, EmptyPayload, testCred, "r", c.service, testTime)
		r.Path = c.sent
		if got := accepted(r, EmptyPayload, "secret", testTime); got != c.want {
			t.Errorf("%s: signed %s, sent %s: %v", c.service, c.signed, c.sent, got)
		}
	}
}
