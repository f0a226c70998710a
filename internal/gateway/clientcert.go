package gateway

import (
	"encoding/pem"
	"time"

	"moat/internal/pure/jsonpath"
	"moat/internal/pure/jsonstring"
)

// clientCert gives a member of $context.identity.clientCert (API Gateway Developer Guide,
// "Variables for data models, authorizers, mapping templates, and CloudWatch access logging").
func (x *Exchange) clientCert(name string) (string, bool) {
	if x.Via == nil || x.Via.Peer == nil {
		return "", false
	}
	c := x.Via.Peer
	const layout = "Jan _2 15:04:05 2006 MST"
	switch name {
	case "clientCertPem":
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})), true
	case "subjectDN":
		return c.Subject.String(), true
	case "issuerDN":
		return c.Issuer.String(), true
	case "serialNumber":
		return c.SerialNumber.Text(16), true
	case "validity.notBefore":
		return c.NotBefore.In(time.FixedZone("GMT", 0)).Format(layout), true
	case "validity.notAfter":
		return c.NotAfter.In(time.FixedZone("GMT", 0)).Format(layout), true
	}
	return "", false
}

// clientCertMap is $context.identity.clientCert.
func (x *Exchange) clientCertMap() *jsonpath.Map {
	m, validity := new(jsonpath.Map), new(jsonpath.Map)
	for _, name := range []string{"clientCertPem", "subjectDN", "issuerDN", "serialNumber"} {
		v, _ := x.clientCert(name)
		m.Put(name, v)
	}
	for _, name := range []string{"notBefore", "notAfter"} {
		v, _ := x.clientCert("validity." + name)
		validity.Put(name, v)
	}
	m.Put("validity", validity)
	return m
}

// appendClientCert writes requestContext.identity.clientCert.
func (x *Exchange) appendClientCert(b []byte) []byte {
	if x.Via == nil || x.Via.Peer == nil {
		return b
	}
	member := func(b []byte, lead, name string) []byte {
		v, _ := x.clientCert(name)
		return jsonstring.Append(append(b, lead...), v)
	}
	b = member(b, `,"clientCert":{"clientCertPem":`, "clientCertPem")
	b = member(b, `,"subjectDN":`, "subjectDN")
	b = member(b, `,"issuerDN":`, "issuerDN")
	b = member(b, `,"serialNumber":`, "serialNumber")
	b = member(b, `,"validity":{"notBefore":`, "validity.notBefore")
	b = member(b, `,"notAfter":`, "validity.notAfter")
	return append(b, "}}"...)
}
