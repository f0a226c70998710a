package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// signedRequests are made by other signers than those that the rest is tested with.
func signedRequests(t *testing.T, c *courses) {
	u := c.newUser(t, "signer@example.com")
	tok, err := c.signIn(t.Context(), c.publicClient, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("curl", func(t *testing.T) { curlSigned(t, c, tok.id) })
	t.Run("presigned call", func(t *testing.T) { presignedCall(t, c) })
}

// curlSigned is curl's own signer, with temporary credentials, at a route that asks for a signature.
func curlSigned(t *testing.T, c *courses, idToken string) {
	member, err := c.identityCredentials(t.Context(), idToken)
	if err != nil {
		t.Fatal(err)
	}
	guest, err := c.identityCredentials(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	args := func(k aws.Credentials, more ...string) []string {
		return append([]string{"--aws-sigv4", "aws:amz:" + region + ":execute-api", "--user", k.AccessKeyID + ":" + k.SecretAccessKey,
			"--header", "x-amz-security-token: " + k.SessionToken, c.api + "/progress"}, more...)
	}
	for name, row := range map[string]struct {
		args   []string
		status int
		holds  string
	}{
		"member":           {args(member), 200, `"goal"`},
		"guest":            {args(guest), 403, "is not authorized to perform: execute-api:Invoke"},
		"without a token":  {append(args(member)[:4:4], c.api+"/progress"), 403, "The security token included in the request is invalid."},
		"another's token":  {args(aws.Credentials{AccessKeyID: member.AccessKeyID, SecretAccessKey: member.SecretAccessKey, SessionToken: guest.SessionToken}), 403, "The security token included in the request is invalid."},
		"wrong secret":     {args(aws.Credentials{AccessKeyID: member.AccessKeyID, SecretAccessKey: guest.SecretAccessKey, SessionToken: member.SessionToken}), 403, "does not match the signature you provided"},
		"unsigned payload": {args(member, "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"), 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := curlAnswer(t, row.args...); status != row.status || !strings.Contains(body, row.holds) {
				t.Errorf("got %d %s, want %d %s", status, body, row.status, row.holds)
			}
		})
	}
}

// presignedCall has AWS's SDK for Go presign a call of STS, which a plain GET then makes.
func presignedCall(t *testing.T, c *courses) {
	signer := sts.NewPresignClient(sts.NewFromConfig(c.config(rootCredentials)))
	signed, err := signer.PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string, header http.Header) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), signed.Method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			req.Header[name] = values
		}
		res, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get(signed.URL, signed.SignedHeader); status != 200 || !strings.Contains(body, "<Arn>arn:aws:iam::"+account+":root</Arn>") {
		t.Errorf("presigned: %d %s", status, body)
	}
	for name, row := range map[string]struct{ old, new, code string }{
		"another call":      {"GetCallerIdentity", "GetSessionToken", "SignatureDoesNotMatch"},
		"another signature": {"X-Amz-Signature=", "X-Amz-Signature=0", "SignatureDoesNotMatch"},
		"for a week":        {"X-Amz-Date=", "X-Amz-Expires=604800&X-Amz-Date=", "SignatureDoesNotMatch"},
		"another key":       {"X-Amz-Credential=test", "X-Amz-Credential=tess", "InvalidClientTokenId"},
		"no host signed":    {"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=date", "SignatureDoesNotMatch"},
		"signed twice":      {"X-Amz-Algorithm=", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Algorithm=", "IncompleteSignature"},
		"no algorithm":      {"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none", "IncompleteSignature"},
	} {
		url := strings.Replace(signed.URL, row.old, row.new, 1)
		if status, body := get(url, signed.SignedHeader); url == signed.URL || status/100 != 4 || !strings.Contains(body, "<Code>"+row.code+"</Code>") {
			t.Errorf("%s: %d %s, want %s", name, status, body, row.code)
		}
	}
	both := http.Header{"Authorization": {"Bearer x"}}
	if status, body := get(signed.URL, both); status/100 != 4 || !strings.Contains(body, "IncompleteSignature") {
		t.Errorf("with an Authorization header: %d %s", status, body)
	}
}
