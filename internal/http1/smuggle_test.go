package http1

import (
	"strings"
	"testing"
)

const (
	get  = "GET / HTTP/1.1\r\nHost: a\r\n"
	post = "POST / HTTP/1.1\r\nHost: a\r\n"
	next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
)

// vector is a request of which two readers could think differently.
type vector struct {
	name, text string
	want       string // statuses of the answers, in order; the first refusal is the last answer
}

// vectors come from RFC 9112's own warnings, from published research on desynchronisation
// (CL.TE, TE.CL, TE.TE, TE.0, 0.CL, chunk extensions and line ends, pauses) and from
// advisories: CVE-2019-18277, CVE-2020-11080, CVE-2021-31166, CVE-2022-1705, CVE-2022-24801, CVE-2022-32213 to 32215,
// CVE-2023-25690, CVE-2024-45410, CVE-2025-22871, CVE-2026-42581.
func vectors() []vector {
	const chunked = "Transfer-Encoding: chunked\r\n"
	const end = "\r\n0\r\n\r\n"
	v := []vector{
		{"CL.TE", post + "Content-Length: 6\r\n" + chunked + "\r\n0\r\n\r\nG", "400"},
		{"TE.CL", post + chunked + "Content-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n", "400"},
		{"TE with a zero length", post + chunked + "Content-Length: 0\r\n" + end, "400"},
		{"two codings", post + chunked + "Transfer-Encoding: cow\r\n" + end, "400"},
		{"two codings, the other way", post + "Transfer-Encoding: cow\r\n" + chunked + end, "501"},
		{"chunked twice", post + chunked + chunked + end, "400"},
		{"chunked twice in one", post + "Transfer-Encoding: chunked, chunked\r\n" + end, "400"},
		{"identity and chunked", post + "Transfer-Encoding: identity, chunked\r\n" + end, "400"},
		{"chunked and identity", post + "Transfer-Encoding: chunked, identity\r\n" + end, "400"},
		{"identity", post + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", "501"},
		{"xchunked", post + "Transfer-Encoding: xchunked\r\n" + end, "501"},
		{"gzip", post + "Transfer-Encoding: gzip\r\n" + end, "501"},
		{"an empty coding", post + "Transfer-Encoding: \r\n" + end, "400"},
		{"a quoted coding", post + "Transfer-Encoding: \"chunked\"\r\n" + end, "400"},
		{"a coding with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n" + end, "400"},
		{"a comma behind", post + "Transfer-Encoding: chunked,\r\n" + end, "400"},
		{"a comma before", post + "Transfer-Encoding: ,chunked\r\n" + end, "400"},
		{"a vertical tab before chunked", post + "Transfer-Encoding: \vchunked\r\n" + end, "400"},
		{"a vertical tab behind chunked", post + "Transfer-Encoding: chunked\v\r\n" + end, "400"},
		{"a form feed", post + "Transfer-Encoding:\fchunked\r\n" + end, "400"},
		{"a NUL behind chunked", post + "Transfer-Encoding: chunked\x00\r\n" + end, "400"},
		{"a no-break space", post + "Transfer-Encoding: \xa0chunked\r\n" + end, "400"},
		{"a dotless name", post + "Transfer\xc4\xb1ncoding: chunked\r\n" + end, "400"},
		{"a space before the colon", post + "Transfer-Encoding : chunked\r\n" + end, "400"},
		{"a tab before the colon", post + "Transfer-Encoding\t: chunked\r\n" + end, "400"},
		{"a space before the name", post + " Transfer-Encoding: chunked\r\n" + end, "400"},
		{"a tab before the name", post + "\tTransfer-Encoding: chunked\r\n" + end, "400"},
		{"a space before the first name", "POST / HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
		{"a folded coding", post + "Transfer-Encoding:\r\n chunked\r\n" + end, "400"},
		{"a folded coding, tab", post + "Transfer-Encoding:\r\n\tchunked\r\n" + end, "400"},
		{"a folded value", get + "X: a\r\n b\r\n\r\n", "400"},
		{"a bare CR in a value", post + "X: a\rTransfer-Encoding: chunked\r\n" + end, "400"},
		{"a bare CR before the name", post + "X: a\r\n\rTransfer-Encoding: chunked\r\n" + end, "400"},
		{"a bare LF behind a value", post + "X: a\nTransfer-Encoding: chunked\r\n" + end, "400"},
		{"a bare LF behind the first line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "400"},
		{"only bare LF", "GET / HTTP/1.1\nHost: a\n\n", "400"},
		{"a bare LF as the end", get + "\n", "400"},
		{"LF CR", "GET / HTTP/1.1\n\rHost: a\n\r\n\r", "400"},
		{"CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400"},
		{"a NUL in a name", get + "X\x00: a\r\n\r\n", "400"},
		{"a NUL in a value", get + "X: a\x00b\r\n\r\n", "400"},
		{"a DEL in a value", get + "X: a\x7fb\r\n\r\n", "400"},
		{"an escape in a value", get + "X: \x1b[0m\r\n\r\n", "400"},
		{"8 bit in a name", get + "X\xff: a\r\n\r\n", "400"},
		{"no name", get + ": a\r\n\r\n", "400"},
		{"no colon", get + "X\r\n\r\n", "400"},
		{"a blank in a name", get + "X Y: a\r\n\r\n", "400"},
		{"a parenthesis in a name", get + "X(: a\r\n\r\n", "400"},

		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "400"},
		{"the same length twice", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400"},
		{"a list of lengths", post + "Content-Length: 5, 5\r\n\r\nhello", "400"},
		{"a plus", post + "Content-Length: +5\r\n\r\nhello", "400"},
		{"a minus", post + "Content-Length: -5\r\n\r\nhello", "400"},
		{"hexadecimal", post + "Content-Length: 0x5\r\n\r\nhello", "400"},
		{"a fraction", post + "Content-Length: 5.0\r\n\r\nhello", "400"},
		{"an exponent", post + "Content-Length: 5e0\r\n\r\nhello", "400"},
		{"underscored digits", post + "Content-Length: 1_0\r\n\r\nhellohello", "400"},
		{"a blank inside", post + "Content-Length: 1 0\r\n\r\nhello", "400"},
		{"an empty length", post + "Content-Length: \r\n\r\n", "400"},
		{"quoted", post + "Content-Length: \"5\"\r\n\r\nhello", "400"},
		{"other digits", post + "Content-Length: \xd9\xa5\r\n\r\nhello", "400"},
		{"more than 64 bits", post + "Content-Length: 18446744073709551621\r\n\r\nhello", "400"},
		{"more than 63 bits", post + "Content-Length: 9223372036854775808\r\n\r\nhello", "400"},
		{"a length with a space before its colon", post + "Content-Length : 5\r\n\r\nhello", "400"},
		{"0.CL", get + "Content-Length: 35\r\n\r\n", ""},

		{"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\n" + chunked + end, "400"},
		{"0.9", "GET /\r\n", "400"},
		{"0.9 with a version", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505"},
		{"1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505"},
		{"2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
		{"1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400"},
		{"01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", "400"},
		{"lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", "400"},
		{"two blanks before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"two blanks behind the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a blank behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"},
		{"a tab for a blank", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a blank before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"two versions", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"8 bit in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a path without a slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a method with a colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"two empty lines before", "\r\n\r\n" + get + "\r\n", "400"},
		{"an empty LF before", "\n" + get + "\r\n", "400"},

		{"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"},
		{"two hosts", get + "Host: b\r\n\r\n", "400"},
		{"the same host twice", get + "Host: a\r\n\r\n", "400"},
		{"a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"},
		{"a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "400"},
		{"a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
		{"a host with a backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", "400"},
		{"a host with an escape", "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", "400"},
		{"a host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"a host of 8 bit", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "400"},
		{"an empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "400"},
		{"a port too high", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400"},
		{"a signed port", "GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", "400"},
		{"a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", "400"},
		{"an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
		{"IPv4 in brackets", "GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", "400"},
		{"an absolute target of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"an absolute target of another port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"an absolute target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"an absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"an absolute target of https", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"an absolute target of a file", "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501"},
		{"an authority for GET", "GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "400"},

		{"another expectation", post + "Expect: 200-maybe\r\nContent-Length: 1\r\n\r\nx", "417"},
		// Expect against who waits for the body and who does not (0.CL, CL.0 by early answers).
		{"an empty expectation", post + "Expect: \r\nContent-Length: 1\r\n\r\nx", "417"},
		{"an expectation beside another", post + "Expect: y 100-continue\r\nContent-Length: 1\r\n\r\nx", "417"},
		{"a list of expectations", post + "Expect: 100-continue, 100-continue\r\nContent-Length: 1\r\n\r\nx", "417"},
		{"an expectation and another's", post + "Expect: 100-continue\r\nExpect: z\r\nContent-Length: 1\r\n\r\nx", "417"},
		{"an expectation with a blank name", post + "Expect : 100-continue\r\nContent-Length: 1\r\n\r\nx", "400"},
		{"a folded length", post + "Content-Length:\r\n 5\r\n\r\nhello", "400"},
		{"a length and a NUL", post + "Content-Length: 5\x00\r\n\r\nhello", "400"},
		{"a length with a parameter", post + "Content-Length: 5;x\r\n\r\nhello", "400"},
		{"a length behind a form feed", post + "Content-Length: \f5\r\n\r\nhello", "400"},
		{"a length behind a bare CR", post + "X: y\rContent-Length: 5\r\n\r\nhello", "400"},
		{"a length in the first line", "POST / HTTP/1.1\rContent-Length: 5\r\nHost: a\r\n\r\nhello", "400"},
		{"a name that is quoted", post + "\"Content-Length\": 5\r\n\r\nhello", "400"},
		{"a name behind a BOM", post + "\xef\xbb\xbfContent-Length: 5\r\n\r\nhello", "400"},
		{"a space before Host", "GET / HTTP/1.1\r\nX: y\r\n Host: a\r\n\r\n", "400"},
		{"Host and another, folded", get + "X: y\r\n\tHost: b\r\n\r\n", "400"},
		{"a target of two slashes and another host", "GET http://b//a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a target with a bare CR", "GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a method with a bare CR", "GET\r / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a broken Connection", get + "Connection: close\"\r\n\r\n", "400"},
		{"too many fields", get + strings.Repeat("X: y\r\n", 130) + "\r\n", "431"},
		{"too large a header", get + "X: " + strings.Repeat("y", 70<<10) + "\r\n\r\n", "431"},
		{"too long a target", "GET /" + strings.Repeat("y", 17<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414"},
		{"too long a method", strings.Repeat("X", 40) + " / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a body that is too large", post + "Content-Length: 2000000000\r\n\r\n", "413"},
	}
	for name, body := range map[string]string{
		"a chunk without a size": "\r\nx", "a negative chunk": "-1\r\nx\r\n0\r\n\r\n", "a signed chunk": "+1\r\nx\r\n0\r\n\r\n", "a chunk of 0x": "0x1\r\nx\r\n0\r\n\r\n",
		"a chunk of 64 bits": "10000000000000001\r\nx\r\n0\r\n\r\n", "a chunk of 63 bits": "ffffffffffffffff\r\nx", "a chunk with too many zeros": "00000000000000001\r\nx\r\n0\r\n\r\n",
		"an underscore in a size": "1_0\r\n" + strings.Repeat("x", 16) + "\r\n0\r\n\r\n", "a blank before a size": " 1\r\nx\r\n0\r\n\r\n", "a blank behind a size": "1 \r\nx\r\n0\r\n\r\n", "a tab behind a size": "1\t\r\nx\r\n0\r\n\r\n",
		"a blank before an extension": "1 ;a\r\nx\r\n0\r\n\r\n", "LF behind a size": "1\nx\r\n0\r\n\r\n", "LF in an extension": "1;a\nx\r\n0\r\n\r\n", "CR in an extension": "1;a\rb\r\nx\r\n0\r\n\r\n",
		"a NUL in an extension": "1;a\x00\r\nx\r\n0\r\n\r\n", "a long extension": "1;" + strings.Repeat("a", 300) + "\r\nx\r\n0\r\n\r\n", "an empty extension": "1;\r\nx\r\n0\r\n\r\n",
		"LF behind a chunk": "1\r\nx\n0\r\n\r\n", "nothing behind a chunk": "1\r\nx0\r\n\r\n", "more than the chunk": "1\r\nxy\r\n0\r\n\r\n", "CR behind a chunk": "1\r\nx\r0\r\n\r\n", "two bytes for CR LF": "1\r\nxyz0\r\n\r\n",
		"LF as the end": "0\r\n\n", "LF behind the last chunk": "0\n\r\n", "a trailer with LF": "0\r\nX: y\n\r\n", "a folded trailer": "0\r\nX: y\r\n z\r\n\r\n", "a trailer with a blank name": "0\r\nX : y\r\n\r\n",
		"a long trailer": "0\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n", "many trailers": "0\r\n" + strings.Repeat("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 400) + "\r\n", "a trailer that is none": "0\r\nGET / HTTP/1.1\r\n\r\n",
		"wasteful chunks":        strings.Repeat("1;"+strings.Repeat("a", 250)+"\r\nx\r\n", 100) + "0\r\n\r\n",
		"a chunk too large":      "fffffffff\r\nx",
		"CR CR LF behind a size": "1\r\r\nx\r\n0\r\n\r\n", "CR CR LF as the end": "0\r\n\r\r\n", "an extension over two lines": "1;a\r\n b\r\nx\r\n0\r\n\r\n", "a size and a colon": "1:a\r\nx\r\n0\r\n\r\n", "a size and a comma": "1,2\r\nx\r\n0\r\n\r\n",
		"a last chunk of minus zero": "-0\r\n\r\n", "a last chunk of 0x0": "0x0\r\n\r\n", "a quoted extension with a CR": "1;a=\"\r\"\r\nx\r\n0\r\n\r\n", "a trailer without a name": "0\r\n: y\r\n\r\n", "a trailer with a NUL": "0\r\nX: \x00\r\n\r\n",
	} {
		v = append(v, vector{name, post + chunked + "\r\n" + body, "400"})
	}
	return v
}

// Behind a refused request nothing is answered, whatever it is split into.
func TestSmuggling_Requests(t *testing.T) {
	t.Parallel()
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for _, piece := range []int{0, 1, 2, 5, 1000} {
				text := v.text
				if v.want != "" {
					text += next
				}
				seen, answers := reads(text, piece)
				for _, m := range seen {
					if m.err == nil {
						t.Errorf("in pieces of %d: %s %s was handled", piece, m.method, m.target)
					}
				}
				if got := statuses(answers); v.want != "" && got != v.want {
					t.Errorf("in pieces of %d: answered %s, want %s", piece, got, v.want)
				}
			}
		})
	}
}

// The nearest messages that are right are read, and what follows is the next one.
func TestSmuggling_Twins(t *testing.T) {
	t.Parallel()
	const chunked = "Transfer-Encoding: chunked\r\n"
	for name, c := range map[string]struct{ text, body string }{
		"no body":                    {get + "\r\n", ""},
		"a length":                   {post + "Content-Length: 5\r\n\r\nhello", "hello"},
		"a length with zeros":        {post + "Content-Length: 005\r\n\r\nhello", "hello"},
		"a body of GET":              {get + "Content-Length: 5\r\n\r\nhello", "hello"},
		"blanks around a length":     {post + "Content-Length: \t 5 \t\r\n\r\nhello", "hello"},
		"chunked":                    {post + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		"Chunked, in other case":     {post + "transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		"hexadecimal in both cases":  {post + chunked + "\r\na\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", "01234567890123456789"},
		"an extension":               {post + chunked + "\r\n5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello"},
		"a trailer":                  {post + chunked + "\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", "hello"},
		"an empty line before":       {"\r\n" + get + "\r\n", ""},
		"an absolute target":         {"GET http://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		"IPv6":                       {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ""},
		"8 bit in a value":           {get + "X: \xc3\xa4\r\n\r\n", ""},
		"a tab in a value":           {get + "X: a\tb\r\n\r\n", ""},
		"an empty value":             {get + "X:\r\n\r\n", ""},
		"odd names":                  {get + "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", ""},
		"OPTIONS for all":            {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		"an upgrade that is ignored": {get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, piece := range []int{0, 1, 2, 5, 1000} {
				seen, answers := reads(c.text+next, piece)
				if statuses(answers) != "200 200" || len(seen) == 0 || seen[len(seen)-1].target != "/smuggled" {
					t.Fatalf("in pieces of %d: answered %s, saw %+v", piece, statuses(answers), seen)
				}
				if len(seen) == 2 && (seen[0].body != c.body || seen[0].err != nil) {
					t.Errorf("in pieces of %d: body %q %v, want %q", piece, seen[0].body, seen[0].err, c.body)
				}
			}
		})
	}
}

// What an upstream may not answer.
func TestSmuggling_Replies(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"both frames": ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "two lengths": ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "the same length twice": ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"a signed length": ok + "Content-Length: +1\r\n\r\nx", "an unknown coding": ok + "Transfer-Encoding: gzip\r\n\r\nx", "chunked not last": ok + "Transfer-Encoding: chunked, gzip\r\n\r\nx", "a coding in 1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"bare LF": "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "a folded field": ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", "a space before a colon": ok + "Content-Length : 1\r\n\r\nx", "a bare CR": ok + "X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
		"a NUL": ok + "X: \x00\r\nContent-Length: 0\r\n\r\n", "a status of two digits": "HTTP/1.1 20 OK\r\n\r\n", "a status of four digits": "HTTP/1.1 2000 OK\r\n\r\n", "a status out of range": "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
		"no blank before the status": "HTTP/1.1200 OK\r\n\r\n", "another protocol": "ICY 200 OK\r\n\r\n", "0.9": "<html>hello</html>", "HTTP/2": "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "switching": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"too many interim": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20) + ok + "Content-Length: 0\r\n\r\n", "a short body": ok + "Content-Length: 5\r\n\r\nabc", "a broken chunk": ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk without its end": ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n",
		"two blanks before the status": "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "lower case": "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "a signed status": "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", "CR CR LF": "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n",
		"a NUL in the reason": "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", "a folded length": ok + "Content-Length:\r\n 1\r\n\r\nx", "a length with a NUL": ok + "Content-Length: 1\x00\r\n\r\nx", "an empty length": ok + "Content-Length: \r\n\r\n", "identity": ok + "Transfer-Encoding: identity\r\n\r\nx",
		"a length in interim": "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", "LF behind a chunk": ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n", "LF in an extension": ok + "Transfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n",
		"no last chunk": ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "half a head": ok + "X: ", "nothing": "", "too large a head": ok + "X: " + strings.Repeat("y", 70<<10) + "\r\n\r\n", "too many fields": ok + strings.Repeat("X: y\r\n", 300) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, piece := range []int{0, 1, 7} {
				if status, body, err := replies(text, piece); err == nil {
					t.Errorf("in pieces of %d: read as %d %q", piece, status, body)
				}
			}
		})
	}
	for name, c := range map[string]struct{ text, body string }{
		"a length": {ok + "Content-Length: 5\r\n\r\nhello", "hello"}, "chunks": {ok + "Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: y\r\n\r\n", "hello"}, "to the end": {ok + "\r\nhello", "hello"}, "no reason": {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		"1.0": {"HTTP/1.0 200 OK\r\n\r\nhello", "hello"}, "after interim": {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", "hello"}, "no body": {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""},
	} {
		for _, piece := range []int{0, 1, 7} {
			if _, body, err := replies(c.text, piece); err != nil || body != c.body {
				t.Errorf("%s in pieces of %d: %q %v", name, piece, body, err)
			}
		}
	}
}
