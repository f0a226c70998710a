package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"moat/internal/pure/sigv4"
)

// Bounds of the loads of this chapter.
const (
	assumeConns = 8
	assumeCount = 8000
	assumeTime  = 4 * time.Second
)

// measureAssumeRole answers what temporary credentials cost, and a call made with them.
func measureAssumeRole(ctx context.Context, b *bench, r *rig) error {
	g := group{
		Title: "Temporary credentials",
		How:   "Signed `AssumeRole` by an IAM user whose policy and the role's trust both allow it, then calls of `GetCallerIdentity` with one session. 8 connections; CPU is the server's alone; no write is made.",
	}
	role, user, err := r.assumable(ctx)
	if err != nil {
		return err
	}
	session, err := r.assumed(ctx, role, user)
	if err != nil {
		return err
	}
	who := url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}
	for _, l := range []struct {
		name, answer string
		as           sigv4.Credentials
		form         url.Values
	}{
		{"AssumeRole", "<SessionToken>", user, assumeForm(role, nil)},
		{"AssumeRole, session policy and tags", "<SessionToken>", user, assumeForm(role, url.Values{
			"Policy":            {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:Get*","Resource":"*"}}`},
			"Tags.member.1.Key": {"team"}, "Tags.member.1.Value": {"red"}, "TransitiveTagKeys.member.1": {"team"},
		})},
		{"a call with a session", "assumed-role/bench-assume", session, who},
	} {
		raw := request{
			method: http.MethodPost, path: "/", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: []byte(l.form.Encode()),
		}.signed(r.host, "sts", l.as)
		o, err := load{conns: assumeConns, count: assumeCount, limit: assumeTime, do: func(c *conn, _ int) error {
			body, err := c.exchange(raw, http.StatusOK)
			if err == nil && !strings.Contains(string(body), l.answer) {
				err = errors.New("STS answered without " + l.answer)
			}
			return err
		}}.run(ctx, r.process, r.address)
		if err != nil {
			return err
		}
		g.Rows = append(g.Rows, row{Name: l.name, Figures: []figure{
			{"done", "", float64(o.count)}, {"CPU", "us", o.cpuMicros()}, {"per core", "1/s", o.perCore()}, {"this machine", "1/s", o.rate()},
			{"p50", "ms", quantile(o.took, 0.5) / 1000}, {"p99", "ms", quantile(o.took, 0.99) / 1000},
		}})
	}
	b.report.Groups = append(b.report.Groups, g)
	return nil
}

func assumeForm(role string, more url.Values) url.Values {
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"bench"}}
	for k, v := range more {
		form[k] = v
	}
	return form
}

// assumable makes a role and a user that may assume it.
func (r *rig) assumable(ctx context.Context) (role string, user sigv4.Credentials, err error) {
	const name, iam = "bench-assume", "2010-05-08"
	allow := func(principal string) string {
		s := map[string]any{"Effect": "Allow", "Action": []string{"sts:AssumeRole", "sts:TagSession"}}
		if principal != "" {
			s["Principal"] = map[string]string{"AWS": principal}
		} else {
			s["Resource"] = "*"
		}
		raw, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{s}}) // strings alone
		return string(raw)
	}
	var made struct {
		ARN string `xml:"CreateUserResult>User>Arn"`
	}
	if err = r.aws.query(ctx, "iam", iam, "CreateUser", map[string]string{"UserName": name}, &made); err != nil {
		return "", user, err
	}
	account := strings.Split(made.ARN, ":")[4]
	if err = r.aws.query(ctx, "iam", iam, "PutUserPolicy", map[string]string{"UserName": name, "PolicyName": "p", "PolicyDocument": allow("")}, nil); err != nil {
		return "", user, err
	}
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err = r.aws.query(ctx, "iam", iam, "CreateAccessKey", map[string]string{"UserName": name}, &key); err != nil {
		return "", user, err
	}
	err = r.aws.query(ctx, "iam", iam, "CreateRole", map[string]string{"RoleName": name, "AssumeRolePolicyDocument": allow(account)}, nil)
	return "arn:aws:iam::" + account + ":role/" + name, sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, err
}

func (r *rig) assumed(ctx context.Context, role string, user sigv4.Credentials) (sigv4.Credentials, error) {
	var made struct {
		ID     string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	as := *r.aws
	as.credentials = user
	err := as.query(ctx, "sts", "2011-06-15", "AssumeRole", map[string]string{"RoleArn": role, "RoleSessionName": "bench"}, &made)
	return sigv4.Credentials{AccessKeyID: made.ID, SecretAccessKey: made.Secret, SessionToken: made.Token}, err
}
