package iam

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestServerCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	der, key := certificate(t, "server")
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	body, private := pemText("CERTIFICATE", der), pemText("PRIVATE KEY", keyDER)
	otherDER, otherKey := certificate(t, "other")
	otherKeyDER, _ := x509.MarshalPKCS8PrivateKey(otherKey)
	upload := func(body, private string, chain *string) error {
		_, err := h.iam.UploadServerCertificate(ctx, &iamapi.UploadServerCertificateRequest{ServerCertificateName: "c", Path: wire.String("/cloudfront/"), CertificateBody: body, PrivateKey: private, CertificateChain: chain})
		return err
	}
	want(t, "no certificate", upload("x", private, nil), "MalformedCertificate", "")
	want(t, "two certificates", upload(body+body, private, nil), "MalformedCertificate", "")
	want(t, "a key as certificate", upload(private, private, nil), "MalformedCertificate", "")
	want(t, "no key", upload(body, "x", nil), "MalformedCertificate", "")
	want(t, "another key", upload(body, pemText("PRIVATE KEY", otherKeyDER), nil), "KeyPairMismatch", "")
	want(t, "another chain", upload(body, private, wire.String(pemText("CERTIFICATE", otherDER))), "MalformedCertificate", "")
	if err := upload(body, private, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "twice", upload(body, private, nil), "EntityAlreadyExists", "The Server Certificate with name c already exists.")
	must(t)(h.iam.UpdateServerCertificate(ctx, &iamapi.UpdateServerCertificateRequest{ServerCertificateName: "c", NewServerCertificateName: wire.String("d"), NewPath: wire.String("/")}))
	_, err = h.iam.GetServerCertificate(ctx, &iamapi.GetServerCertificateRequest{ServerCertificateName: "c"})
	want(t, "old name", err, "NoSuchEntity", "The Server Certificate with name c cannot be found.")
	g := must(t)(h.iam.GetServerCertificate(ctx, &iamapi.GetServerCertificateRequest{ServerCertificateName: "d"})).(*iamapi.GetServerCertificateResponse).ServerCertificate
	if g.CertificateBody != body || g.ServerCertificateMetadata.Arn != "arn:aws:iam::000000000000:server-certificate/d" || g.ServerCertificateMetadata.Expiration.Year() != 2036 {
		t.Errorf("%+v", g)
	}
	if l := must(t)(h.iam.ListServerCertificates(ctx, &iamapi.ListServerCertificatesRequest{PathPrefix: wire.String("/cloudfront/")})).(*iamapi.ListServerCertificatesResponse); len(l.ServerCertificateMetadataList) != 0 {
		t.Errorf("%+v", l)
	}
	must(t)(h.iam.DeleteServerCertificate(ctx, &iamapi.DeleteServerCertificateRequest{ServerCertificateName: "d"}))
	_, err = h.iam.DeleteServerCertificate(ctx, &iamapi.DeleteServerCertificateRequest{ServerCertificateName: "d"})
	want(t, "deleted", err, "NoSuchEntity", "")
}

func TestSigningCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	name := wire.String("alice")
	upload := func(body string) (string, error) {
		out, err := h.iam.UploadSigningCertificate(ctx, &iamapi.UploadSigningCertificateRequest{UserName: name, CertificateBody: body})
		if err != nil {
			return "", err
		}
		return out.Certificate.CertificateId, nil
	}
	first, _ := certificate(t, "first")
	id, err := upload(pemText("CERTIFICATE", first))
	if err != nil {
		t.Fatal(err)
	}
	_, err = upload(pemText("CERTIFICATE", first))
	want(t, "twice", err, "DuplicateCertificate", "")
	_, err = upload("x")
	want(t, "no certificate", err, "MalformedCertificate", "")
	second, _ := certificate(t, "second")
	if _, err := upload(pemText("CERTIFICATE", second)); err != nil {
		t.Fatal(err)
	}
	third, _ := certificate(t, "third")
	_, err = upload(pemText("CERTIFICATE", third))
	want(t, "third", err, "LimitExceeded", "Cannot exceed quota for SigningCertificatesPerUser: 2")
	must(t)(h.iam.UpdateSigningCertificate(ctx, &iamapi.UpdateSigningCertificateRequest{UserName: name, CertificateId: id, Status: "Inactive"}))
	_, err = h.iam.UpdateSigningCertificate(ctx, &iamapi.UpdateSigningCertificateRequest{UserName: name, CertificateId: id, Status: "Expired"})
	want(t, "expired", err, "ValidationError", "")
	l := must(t)(h.iam.ListSigningCertificates(ctx, &iamapi.ListSigningCertificatesRequest{UserName: name})).(*iamapi.ListSigningCertificatesResponse).Certificates
	if len(l) != 2 || (l[0].Status == "Active") == (l[1].Status == "Active") {
		t.Errorf("%+v", l)
	}
	h.user("bob", "")
	_, err = h.iam.DeleteSigningCertificate(ctx, &iamapi.DeleteSigningCertificateRequest{UserName: wire.String("bob"), CertificateId: id})
	want(t, "another's", err, "NoSuchEntity", "")
	must(t)(h.iam.DeleteSigningCertificate(ctx, &iamapi.DeleteSigningCertificateRequest{UserName: name, CertificateId: id}))
}

func TestSSHPublicKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	line := "ssh-rsa " + base64.StdEncoding.EncodeToString(writeSSHKey(&key.PublicKey)) + " alice@laptop"
	upload := func(body string) (*iamapi.SSHPublicKey, error) {
		out, err := h.iam.UploadSSHPublicKey(ctx, &iamapi.UploadSSHPublicKeyRequest{UserName: "alice", SSHPublicKeyBody: body})
		if err != nil {
			return nil, err
		}
		return out.SSHPublicKey, nil
	}
	k, err := upload(line)
	if err != nil || k.SSHPublicKeyBody+" alice@laptop" != line || len(k.Fingerprint) != 47 || !strings.HasPrefix(k.SSHPublicKeyId, "APKA") {
		t.Fatalf("%+v, %v", k, err)
	}
	p := must(t)(h.iam.GetSSHPublicKey(ctx, &iamapi.GetSSHPublicKeyRequest{UserName: "alice", SSHPublicKeyId: k.SSHPublicKeyId, Encoding: "PEM"})).(*iamapi.GetSSHPublicKeyResponse).SSHPublicKey
	if again, err := parseSSHKey(p.SSHPublicKeyBody); err != nil || !again.Equal(&key.PublicKey) {
		t.Errorf("%s, %v", p.SSHPublicKeyBody, err)
	}
	_, err = upload(p.SSHPublicKeyBody)
	want(t, "the same as PEM", err, "DuplicateSSHPublicKey", "")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"short":     line[:60],
		"truncated": "ssh-rsa " + base64.StdEncoding.EncodeToString(writeSSHKey(&key.PublicKey)[:200]),
		"more":      "ssh-rsa " + base64.StdEncoding.EncodeToString(append(writeSSHKey(&key.PublicKey), 0)),
		"weak":      "ssh-rsa " + base64.StdEncoding.EncodeToString(writeSSHKey(&weak.PublicKey)),
		"wrong PEM": pemText("PUBLIC KEY", []byte("x")),
	} {
		_, err := upload(bad)
		want(t, name, err, "InvalidPublicKey", "")
	}
	for _, bad := range []string{"ssh-ed25519 AAAA", "hello", line + "\n" + line} {
		_, err := upload(bad)
		want(t, bad, err, "UnrecognizedPublicKeyEncoding", "")
	}
	must(t)(h.iam.UpdateSSHPublicKey(ctx, &iamapi.UpdateSSHPublicKeyRequest{UserName: "alice", SSHPublicKeyId: k.SSHPublicKeyId, Status: "Inactive"}))
	if l := must(t)(h.iam.ListSSHPublicKeys(ctx, &iamapi.ListSSHPublicKeysRequest{UserName: wire.String("alice")})).(*iamapi.ListSSHPublicKeysResponse).SSHPublicKeys; len(l) != 1 || l[0].Status != "Inactive" {
		t.Errorf("%+v", l)
	}
	for _, k := range must(t)(h.iam.ListAccessKeys(ctx, &iamapi.ListAccessKeysRequest{UserName: wire.String("alice")})).(*iamapi.ListAccessKeysResponse).AccessKeyMetadata {
		must(t)(h.iam.DeleteAccessKey(ctx, &iamapi.DeleteAccessKeyRequest{UserName: wire.String("alice"), AccessKeyId: *k.AccessKeyId}))
	}
	_, err = h.iam.DeleteUser(ctx, &iamapi.DeleteUserRequest{UserName: "alice"})
	want(t, "user with a key", err, "DeleteConflict", "Cannot delete entity, must delete SSH public keys first.")
	must(t)(h.iam.DeleteSSHPublicKey(ctx, &iamapi.DeleteSSHPublicKeyRequest{UserName: "alice", SSHPublicKeyId: k.SSHPublicKeyId}))
	must(t)(h.iam.DeleteUser(ctx, &iamapi.DeleteUserRequest{UserName: "alice"}))
}

func FuzzSSHKey(f *testing.F) {
	f.Add("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseSSHKey(text)
		if err != nil {
			return
		}
		again, err := readSSHKey(writeSSHKey(k))
		if err != nil || !again.Equal(k) {
			t.Errorf("%q does not survive: %v", text, err)
		}
	})
}

func TestOutboundFederation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.iam.GetOutboundWebIdentityFederationInfo(h.root(), &iamapi.GetOutboundWebIdentityFederationInfoInput{})
	want(t, "disabled", err, "FeatureDisabled", "")
	_, err = h.iam.ListOrganizationsFeatures(h.root(), &iamapi.ListOrganizationsFeaturesRequest{})
	want(t, "organizations", err, "NotImplemented", "")
	must(t)(h.iam.SetSecurityTokenServicePreferences(h.root(), &iamapi.SetSecurityTokenServicePreferencesRequest{GlobalEndpointTokenVersion: "v2Token"}))
	_, err = h.iam.SetSecurityTokenServicePreferences(h.root(), &iamapi.SetSecurityTokenServicePreferencesRequest{GlobalEndpointTokenVersion: "v1Token"})
	want(t, "v1", err, "NotImplemented", "")
}
