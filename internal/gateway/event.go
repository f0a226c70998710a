package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"mime"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/jsonstring"
)

// forwarded yields the fields that an integration gets to see: those of the client
// without hop-by-hop fields, without the ones its Connection field lists, without
// anything that could be taken for a field of ours; then ours.
func (x *Exchange) forwarded() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		listed := connectionListed(nil, x.Fields)
		for _, f := range x.Fields {
			if x.withheld(f.Name, alias(f.Name), listed) {
				continue
			}
			if !yield(f.Name, f.Value) {
				return
			}
		}
		for _, f := range x.own() {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// withheld reports whether a field of the client is kept from integrations. listed are the
// names in its Connection fields.
func (x *Exchange) withheld(name, alias string, listed []string) bool {
	return hopByHop(alias) || ours(alias) || alias == "host" || x.decoded && alias == "content-encoding" || listedIn(listed, name) || x.consumed(alias)
}

// own are the fields that every integration gets from us.
func (x *Exchange) own() [4]Field {
	return [...]Field{{"X-Amzn-Trace-Id", x.trace()}, {"X-Forwarded-For", x.RemoteIP}, {"X-Forwarded-Port", x.port()}, {"X-Forwarded-Proto", x.scheme()}}
}

// connectionListed appends the names that the Connection fields list.
func connectionListed(list []string, fields []Field) []string {
	for i := range fields {
		if sameName(fields[i].Name, "Connection") {
			list = appendListed(list, fields[i].Value)
		}
	}
	return list
}

func appendListed(list []string, value string) []string {
	for name := range strings.SplitSeq(value, ",") {
		list = append(list, strings.ToLower(strings.TrimSpace(name)))
	}
	return list
}

// listedIn reports whether a name, in whatever case, is in a list of lower-case ones.
func listedIn(list []string, name string) bool {
	for i := range list {
		if sameName(list[i], name) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// consumed reports whether the signature's fields were meant for us alone.
func (x *Exchange) consumed(lower string) bool {
	return x.caller != nil && (lower == "authorization" || lower == "x-amz-security-token")
}

func (x *Exchange) scheme() string {
	if x.Secure {
		return "https"
	}
	return "http"
}

func (x *Exchange) port() string {
	if i := strings.LastIndexByte(x.Host, ':'); i >= 0 && !strings.HasSuffix(x.Host, "]") {
		return x.Host[i+1:]
	}
	if x.Secure {
		return "443"
	}
	return "80"
}

// trace is the X-Ray trace of the request: the client's root if it is well formed.
func (x *Exchange) trace() string {
	if x.traceID != "" {
		return x.traceID
	}
	sent := x.get("X-Amzn-Trace-Id")
	if root := traceRoot(sent); root != "" {
		x.traceID = "Root=" + root
		if x.snap != nil && x.snap.def.Tracing {
			x.traceID += traceRest(sent)
		}
		return x.traceID
	}
	b := x.random[27:]
	binary.BigEndian.PutUint32(b, uint32(x.start.Unix()))
	x.chance(b[4:])
	text := append(x.idText[:52], "Root=1-"...)
	text = append(hex.AppendEncode(text, b[:4]), '-')
	x.traceID = x.text(hex.AppendEncode(text, b[4:])[52:])
	return x.traceID
}

// functionTrace is the trace of the functions that the request calls, which their answers tell
// the client, too: the root with the client's parent and decision, or else with a parent of its
// own that asks for no sampling. Tracing makes no difference to it (recorded).
func (x *Exchange) functionTrace() string {
	if x.calledTrace != "" {
		return x.calledTrace
	}
	root, _, _ := strings.Cut(x.trace(), ";")
	var parent, sampled string
	if sent := x.get("X-Amzn-Trace-Id"); traceRoot(sent) != "" {
		parent, sampled = traceParts(sent)
	}
	if parent == "" {
		var b [8]byte
		x.chance(b[:])
		parent = hex.EncodeToString(b[:])
	}
	if sampled == "" {
		sampled = "0"
	}
	x.calledTrace = root + ";Parent=" + parent + ";Sampled=" + sampled
	return x.calledTrace
}

// traceRest is what a trace header says beside its root: the parent, and whether it is sampled.
func traceRest(sent string) (rest string) {
	parent, sampled := traceParts(sent)
	if parent != "" {
		rest = ";Parent=" + parent
	}
	if sampled != "" {
		rest += ";Sampled=" + sampled
	}
	return rest
}

func traceParts(sent string) (parent, sampled string) {
	for part := range strings.SplitSeq(sent, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "Parent" && len(value) == 16 && strings.Trim(value, "0123456789abcdefABCDEF") == "":
			parent = value
		case name == "Sampled" && (value == "0" || value == "1" || value == "?"):
			sampled = value
		}
	}
	return parent, sampled
}

// traceRoot is the root of a trace header, if it is well formed.
func traceRoot(sent string) string {
	for part := range strings.SplitSeq(sent, ";") {
		if root, ok := strings.CutPrefix(strings.TrimSpace(part), "Root="); ok && validRoot(root) {
			return root
		}
	}
	return ""
}

func validRoot(s string) bool {
	if len(s) != 35 || s[:2] != "1-" || s[10] != '-' {
		return false
	}
	for i := 2; i < len(s); i++ {
		if i != 10 && unhex(s[i]) < 0 {
			return false
		}
	}
	return true
}

// isBinary reports whether a media type is one of the API's binary ones.
func (s *Snapshot) isBinary(contentType string) bool {
	if len(s.binary) == 0 {
		return false
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = strings.ToLower(strings.TrimSpace(contentType))
	}
	for _, want := range s.binary {
		if want == "*/*" || want == media {
			return true
		}
		if kind, ok := strings.CutSuffix(want, "/*"); ok && strings.HasPrefix(media, kind+"/") {
			return true
		}
	}
	return false
}

// event is the input of a function with proxy integration (API Gateway Developer
// Guide, "Input format of a Lambda function for proxy integration"), with the
// details as recorded answers show them: paths stay escaped, absent maps are null.
func (x *Exchange) event(body []byte) []byte {
	b := make([]byte, 0, 4096+len(body)*4/3)
	b = append(jsonstring.Append(append(b, `{"resource":`...), x.resource.path), `,"path":`...)
	b = append(jsonstring.Append(b, x.fullPath()), `,"httpMethod":`...)
	b = append(jsonstring.Append(b, x.Method), `,"headers":`...)
	b = x.appendHeaders(b)
	b = x.appendQuery(append(b, `,"queryStringParameters":`...))
	b = x.appendParams(append(b, `,"pathParameters":`...))
	b = append(append(b, `,"stageVariables":`...), x.snap.varsJSON...)
	b = x.appendContext(append(b, `,"requestContext":`...))
	return append(x.appendBody(append(b, `,"body":`...), body), '}')
}

func (x *Exchange) appendBody(b, body []byte) []byte {
	switch {
	case len(body) == 0:
		return append(b, `null,"isBase64Encoded":false`...)
	case x.snap.isBinary(x.get("Content-Type")):
		b = base64.StdEncoding.AppendEncode(append(b, '"'), body)
		return append(b, `","isBase64Encoded":true`...)
	case x.route.def.Integration.ContentHandling == convertToBinary: // what the text stands for, in the same text
		return append(jsonstring.Append(b, string(body)), `,"isBase64Encoded":true`...)
	}
	return append(jsonstring.Append(b, strings.ToValidUTF8(string(body), "\uFFFD")), `,"isBase64Encoded":false`...)
}

// appendHeaders writes headers (the last value of each) and multiValueHeaders.
func (x *Exchange) appendHeaders(b []byte) []byte {
	all := make([]pair, 0, len(x.Fields)+5)
	all = append(all, pair{"Host", x.Host})
	for name, value := range x.forwarded() {
		if sameName(name, "Authorization") { // the one name that is written anew (recorded)
			name = "Authorization"
		}
		all = append(all, pair{name, value})
	}
	b = appendPairs(b, all, true, strings.EqualFold)
	b = append(b, `,"multiValueHeaders":`...)
	return appendPairs(b, all, false, strings.EqualFold)
}

func (x *Exchange) appendQuery(b []byte) []byte {
	all := x.query()
	if x.caller != nil {
		all = slices.DeleteFunc(slices.Clone(all), func(p pair) bool { return x.presigned(p.name) })
	}
	b = appendPairs(b, all, true, same)
	b = append(b, `,"multiValueQueryStringParameters":`...)
	return appendPairs(b, all, false, same)
}

func same(a, b string) bool { return a == b }

// manyPairs is from where on pairs are looked for by a table: what a client sends must not be
// compared with everything else that it sends.
const manyPairs = 32

// appendPairs writes pairs as an object: of the last value of each name, or of lists.
func appendPairs(b []byte, all []pair, last bool, equal func(a, b string) bool) []byte {
	if len(all) == 0 {
		return append(b, "null"...)
	}
	sep := byte('{')
	if len(all) > manyPairs {
		for _, group := range grouped(all, equal) {
			b, sep = appendGroup(append(b, sep), group, last), ','
		}
		return append(b, '}')
	}
	var few [manyPairs]pair
next:
	for i, p := range all {
		for _, before := range all[:i] {
			if equal(before.name, p.name) {
				continue next
			}
		}
		group := few[:0]
		for _, q := range all[i:] {
			if equal(q.name, p.name) {
				group = append(group, q)
			}
		}
		b, sep = appendGroup(append(b, sep), group, last), ','
	}
	return append(b, '}')
}

// grouped puts the pairs of each name together, in the order in which the names come.
func grouped(all []pair, equal func(a, b string) bool) [][]pair {
	var out [][]pair
	at := make(map[string]int, len(all))
	fold := equal("a", "A")
	for _, p := range all {
		key := p.name
		if fold {
			key = strings.ToLower(key)
		}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key], out = i, append(out, nil)
		}
		out[i] = append(out[i], p)
	}
	return out
}

// appendGroup writes a member: the first's name, and the last value or all of them.
func appendGroup(b []byte, group []pair, last bool) []byte {
	b = append(jsonstring.Append(b, group[0].name), ':')
	if last {
		return jsonstring.Append(b, group[len(group)-1].value)
	}
	inner := byte('[')
	for _, p := range group {
		b = jsonstring.Append(append(b, inner), p.value)
		inner = ','
	}
	return append(b, ']')
}

func (x *Exchange) appendParams(b []byte) []byte {
	sep := byte('{')
	for i, p := range x.resource.parts {
		if p.name == "" {
			continue
		}
		b = append(jsonstring.Append(append(b, sep), p.name), ':')
		b = jsonstring.Append(b, x.paramAt(i))
		sep = ','
	}
	if sep == '{' {
		return append(b, "null"...)
	}
	return append(b, '}')
}

func (x *Exchange) appendContext(b []byte) []byte {
	b = jsonstring.Append(append(b, `{"resourceId":`...), x.resource.id)
	switch {
	case x.claims != nil:
		b = append(append(append(b, `,"authorizer":{"claims":`...), x.claimSet().json...), '}')
	case x.custom != nil:
		b = append(append(b, `,"authorizer":`...), x.custom.json...)
	}
	if x.route.def.OperationName != "" {
		b = jsonstring.Append(append(b, `,"operationName":`...), x.route.def.OperationName)
	}
	domain := x.domain()
	prefix, _, _ := strings.Cut(domain, ".")
	for _, f := range [...]pair{
		{`,"resourcePath":`, x.resource.path}, {`,"httpMethod":`, x.Method}, {`,"extendedRequestId":`, x.extendedID},
		{`,"requestTime":`, clf(x.start)}, {`,"path":`, x.stagePath()}, {`,"accountId":`, x.snap.def.Account},
		{`,"protocol":`, x.Proto}, {`,"stage":`, x.Stage}, {`,"domainPrefix":`, prefix}, {`,"requestId":`, x.requestID},
		{`,"domainName":`, domain}, {`,"deploymentId":`, x.snap.def.DeploymentID}, {`,"apiId":`, x.APIID},
	} {
		b = jsonstring.Append(append(b, f.name...), f.value)
	}
	b = strconv.AppendInt(append(b, `,"requestTimeEpoch":`...), x.start.UnixMilli(), 10)
	b = append(b, `,"identity":{`...)
	for i, name := range [...]string{"cognitoIdentityPoolId", "accountId", "cognitoIdentityId", "caller", "sourceIp", "principalOrgId",
		"accessKey", "cognitoAuthenticationType", "cognitoAuthenticationProvider", "userArn", "userAgent", "user", "apiKey", "apiKeyId", "vpceId", "vpcId"} {
		value, ok := x.identityValue(name)
		if !ok && (name == "apiKey" || name == "apiKeyId" || name == "vpceId" || name == "vpcId") {
			continue // events have them only where a key was asked for, or an endpoint was gone through
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), `":`...)
		if ok {
			b = jsonstring.Append(b, value)
		} else {
			b = append(b, "null"...)
		}
	}
	return append(x.appendClientCert(b), "}}"...)
}
