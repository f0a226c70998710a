package restapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	sealDomain     = "restapi/domain-certificate"
	maxPEM         = 64 << 10 // of an uploaded certificate, key or chain
	maxTruststore  = 1 << 20
	maxAuthorities = 1000 // certificates in a truststore
)

// hostName is a DNS name of two labels or more; the first may be a wildcard.
var hostName = lazyregexp.New(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// upload is a certificate as it comes in: PEM texts.
type upload struct{ body, key, chain string }

// uploaded takes an uploaded certificate, once it is seen that its key is its own.
func (s *Service) uploaded(d *domain, up upload) error {
	switch {
	case up.body == "" || up.key == "":
		return badRequest("A certificate is uploaded as certificateBody with certificatePrivateKey")
	case len(up.body) > maxPEM || len(up.key) > maxPEM || len(up.chain) > maxPEM:
		return badRequest("The certificate is too large")
	case wire.Value(d.Domain.CertificateName) == "" && wire.Value(d.Domain.RegionalCertificateName) == "":
		return badRequest("Certificate name must be provided")
	}
	chain := strings.TrimSpace(up.body) + "\n" + strings.TrimSpace(up.chain) + "\n"
	pair, err := tls.X509KeyPair([]byte(chain), []byte(up.key))
	if err != nil {
		return badRequest("The certificate, its private key and its chain do not form a key pair")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	switch {
	case err != nil:
		return badRequest("The certificate does not parse")
	case leaf.VerifyHostname(strings.Replace(d.Name, "*.", "any.", 1)) != nil:
		return badRequest("The certificate does not cover the domain name %s", d.Name)
	case !s.cfg.Now().Before(leaf.NotAfter):
		return badRequest("The certificate has expired")
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return badRequest("The private key is of a kind that is not supported")
	}
	if d.Key, err = s.db.Seal(sealDomain, pkcs8); err != nil {
		return err
	}
	d.Chain = ""
	for _, der := range pair.Certificate {
		d.Chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return nil
}

// checkDomain refuses what a domain may not be, and what Moat cannot enforce.
func (s *Service) checkDomain(operation string, d *domain) error {
	e := d.Domain.EndpointConfiguration
	for _, t := range e.Types {
		if t != apigatewayapi.EndpointTypeEDGE && t != apigatewayapi.EndpointTypeREGIONAL && t != apigatewayapi.EndpointTypePRIVATE {
			return badRequest("Invalid endpoint type '%s'. Valid options are EDGE, REGIONAL and PRIVATE", t)
		}
	}
	switch {
	case !hostName.MatchString(d.Name) || len(d.Name) > 253 || net.ParseIP(d.Name) != nil:
		return badRequest("Invalid domain name: %s", d.Name)
	case s.cfg.Reserved != nil && s.cfg.Reserved(d.Name):
		return badRequest("The domain name %s is one that Moat itself answers to", d.Name)
	case len(e.Types) == 0 || len(e.Types) > 2 || len(e.Types) == 2 && e.Types[0] == e.Types[1]:
		return badRequest("A domain name has one endpoint type, or two while it changes")
	case len(e.VpcEndpointIds) > 0:
		return badRequest("VPCEndpoints can only be specified with PRIVATE apis.")
	case d.ID == "" && (wire.Value(d.Domain.Policy) != "" || wire.Value(d.Domain.ManagementPolicy) != ""):
		return badRequest("Policies are only supported for private custom domain names")
	case d.Domain.EndpointAccessMode != "" && d.Domain.EndpointAccessMode != apigatewayapi.EndpointAccessModeBASIC && d.Domain.EndpointAccessMode != apigatewayapi.EndpointAccessModeSTRICT:
		return badRequest("Invalid endpoint access mode '%s'. Valid options are BASIC and STRICT", d.Domain.EndpointAccessMode)
	case e.IpAddressType != "" && e.IpAddressType != apigatewayapi.IpAddressTypeipv4 && e.IpAddressType != apigatewayapi.IpAddressTypedualstack:
		return badRequest("Invalid IP address type '%s'. Valid options are ipv4 and dualstack", e.IpAddressType)
	case d.Domain.RoutingMode != apigatewayapi.RoutingModeBASE_PATH_MAPPING_ONLY:
		return notBuilt(operation, "routing rules are not built: only base path mappings")
	case wire.Value(d.Domain.OwnershipVerificationCertificateArn) != "":
		return notBuilt(operation, "the ownership of a domain is not verified by a second certificate")
	}
	if _, known := minVersion(d.Domain.SecurityPolicy); !known {
		return notBuilt(operation, "the security policy %s, a list of ciphers, is not built; TLS_1_2 and SecurityPolicy_TLS13_1_3_2025_09 are", d.Domain.SecurityPolicy)
	}
	if d.ID != "" {
		if err := checkPrivate(d); err != nil {
			return err
		}
	}
	if err := s.checkCertificate(operation, d); err != nil {
		return err
	}
	return s.checkMutual(operation, d)
}

// checkCertificate sees to it that the domain has a certificate by which it can be served. There is
// no certificate manager here: the ARN of one counts where Moat has a certificate for the name itself.
func (s *Service) checkCertificate(operation string, d *domain) error {
	for t, arn := range map[apigatewayapi.EndpointType]string{
		apigatewayapi.EndpointTypeEDGE: wire.Value(d.Domain.CertificateArn), apigatewayapi.EndpointTypeREGIONAL: wire.Value(d.Domain.RegionalCertificateArn),
		apigatewayapi.EndpointTypePRIVATE: wire.Value(d.Domain.CertificateArn),
	} {
		switch {
		case d.has(t) && arn == "" && d.Chain == "":
			return badRequest("A domain name needs a certificate: certificateArn, regionalCertificateArn or an uploaded one")
		case arn != "" && !strings.HasPrefix(arn, "arn:"):
			return badRequest("Invalid certificate ARN: %s", arn)
		}
	}
	switch {
	case d.Chain == "" && (s.cfg.Vouches == nil || !s.cfg.Vouches(d.Name)):
		return notBuilt(operation, "there is no certificate manager, and Moat has no certificate for %s; upload one as certificateBody, certificatePrivateKey and certificateChain", d.Name)
	}
	return nil
}

// minVersion is the lowest version of TLS that a security policy lets in. Moat itself lets in none below 1.2.
func minVersion(p apigatewayapi.SecurityPolicy) (uint16, bool) {
	switch p {
	case apigatewayapi.SecurityPolicyTLS_1_0, apigatewayapi.SecurityPolicyTLS_1_2, apigatewayapi.SecurityPolicySecurityPolicy_TLS13_1_2_2021_06:
		return tls.VersionTLS12, true
	case apigatewayapi.SecurityPolicySecurityPolicy_TLS13_1_3_2025_09:
		return tls.VersionTLS13, true
	}
	return 0, false
}

// checkMutual holds mutual TLS to what can be enforced: authorities that are at hand.
func (s *Service) checkMutual(operation string, d *domain) error {
	m := d.Domain.MutualTlsAuthentication
	if m == nil {
		return nil
	}
	uri := wire.Value(m.TruststoreUri)
	switch {
	case d.has(apigatewayapi.EndpointTypeEDGE):
		return badRequest("Mutual TLS authentication is only supported for regional domain names")
	case d.Domain.SecurityPolicy == apigatewayapi.SecurityPolicyTLS_1_0:
		return badRequest("Mutual TLS authentication needs the security policy TLS_1_2 or higher")
	case strings.HasPrefix(uri, "s3://"):
		return notBuilt(operation, "there is no S3 to read a truststore from; give its PEM text itself, as data:application/x-pem-file;base64,...")
	case wire.Value(m.TruststoreVersion) != "":
		return badRequest("A truststore that is given as text has no version")
	}
	authorities, err := truststore(uri)
	if err != nil {
		return err
	}
	m.TruststoreWarnings = nil
	for _, c := range authorities {
		if now := s.cfg.Now(); now.After(c.NotAfter) || now.Before(c.NotBefore) {
			m.TruststoreWarnings = append(m.TruststoreWarnings, "The certificate of "+c.Subject.String()+" is not valid at this time")
		}
	}
	return nil
}

// truststore reads the authorities of a data URI (RFC 2397), PEM in Base64.
func truststore(uri string) ([]*x509.Certificate, error) {
	meta, data, ok := strings.Cut(strings.TrimPrefix(uri, "data:"), ",")
	if !ok || !strings.HasPrefix(uri, "data:") || !strings.HasSuffix(meta, ";base64") || len(data) > maxTruststore {
		return nil, badRequest("Invalid truststore URI")
	}
	rest, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, badRequest("Invalid truststore URI: it is not Base64")
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, badRequest("The truststore holds something that is no certificate")
		}
		if out = append(out, c); len(out) > maxAuthorities {
			return nil, badRequest("The truststore holds more than %d certificates", maxAuthorities)
		}
	}
	if len(out) == 0 || strings.TrimSpace(string(rest)) != "" {
		return nil, badRequest("The truststore holds no certificates in PEM form, or something else besides")
	}
	return out, nil
}

// gatewayDomain is a custom domain name in the gateway's terms.
func (s *Service) gatewayDomain(d domain, mappings []mapping) (*gateway.Domain, error) {
	out := &gateway.Domain{Name: d.Name, Strict: d.Domain.EndpointAccessMode == apigatewayapi.EndpointAccessModeSTRICT, Mappings: map[string]gateway.Mapping{}}
	out.MinVersion, _ = minVersion(d.Domain.SecurityPolicy)
	if d.ID != "" {
		var err error
		if out.Policy, err = gateway.ParseDomainPolicy(d.Account, d.Region, d.key(), wire.Value(d.Domain.Policy)); err != nil {
			return nil, err
		}
		out.ARN = "arn:aws:execute-api:" + d.Region + ":" + d.Account + ":/domainnames/" + d.key()
	}
	for _, m := range mappings {
		base := m.BasePath
		if base == noBasePath {
			base = ""
		}
		out.Mappings[base] = gateway.Mapping{APIID: wire.Value(m.Mapping.RestApiId), Stage: wire.Value(m.Mapping.Stage)}
	}
	if d.Chain != "" {
		pkcs8, err := s.db.Unseal(sealDomain, d.Key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair([]byte(d.Chain), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
		if err != nil {
			return nil, err
		}
		out.Certificate = &pair
	}
	if m := d.Domain.MutualTlsAuthentication; m != nil {
		authorities, err := truststore(wire.Value(m.TruststoreUri))
		if err != nil {
			return nil, err
		}
		out.ClientCAs = x509.NewCertPool()
		for _, c := range authorities {
			out.ClientCAs.AddCert(c)
		}
	}
	return out, nil
}
