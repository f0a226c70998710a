package iam

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"slices"
	"strconv"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// Report is the account's last credential report.
type Report struct {
	Account string
	Made    time.Time
	Content []byte
}

// reportValid is how long a report counts, and how often a new one is made.
const reportValid = 4 * time.Hour

func newReportTable() *store.Table[Report] {
	return store.NewTable(store.Schema[Report]{
		Name: "iam_credential_reports", Key: []string{"account"},
		KeyOf:   func(r *Report) []string { return []string{r.Account} },
		Expires: func(r *Report) time.Time { return r.Made.Add(10 * reportValid) },
	})
}

// GenerateCredentialReport implements iamapi.Service. The report is there when it
// returns; AWS says STARTED at first, and clients look again.
func (s *Service) GenerateCredentialReport(ctx context.Context, _ *iamapi.GenerateCredentialReportInput) (*iamapi.GenerateCredentialReportResponse, error) {
	s.flushUsage(ctx)
	out := &iamapi.GenerateCredentialReportResponse{State: "COMPLETE"}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := s.t.reports.Get(tx, s.cfg.Account)
		if err != nil && !errors.Is(err, store.ErrNotFound) || err == nil && s.now().Before(r.Made.Add(reportValid)) {
			return err
		}
		out.State, out.Description = "STARTED", wire.String("No report exists. Starting a new report generation task")
		content, err := s.credentialReport(tx)
		if err != nil {
			return err
		}
		return s.t.reports.Put(tx, Report{Account: s.cfg.Account, Made: s.now(), Content: content})
	})
}

// GetCredentialReport implements iamapi.Service.
func (s *Service) GetCredentialReport(ctx context.Context, _ *iamapi.GetCredentialReportInput) (*iamapi.GetCredentialReportResponse, error) {
	var r Report
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		r, err = s.t.reports.Get(tx, s.cfg.Account)
		return or(err, &iamapi.CredentialReportNotPresentException{Message: "No report exists for this account. Generate one with GenerateCredentialReport."}, nil)
	})
	switch {
	case err != nil:
		return nil, err
	case !s.now().Before(r.Made.Add(reportValid)):
		return nil, &iamapi.CredentialReportExpiredException{Message: "The report has expired. Generate a new one with GenerateCredentialReport."}
	}
	return &iamapi.GetCredentialReportResponse{Content: r.Content, ReportFormat: "text/csv", GeneratedTime: &r.Made}, nil
}

// reportColumns are AWS's (IAM user guide, credential reports).
func reportColumns() []string {
	columns := []string{"user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active"}
	for _, n := range []string{"1", "2"} {
		for _, c := range []string{"active", "last_rotated", "last_used_date", "last_used_region", "last_used_service"} {
			columns = append(columns, "access_key_"+n+"_"+c)
		}
	}
	return append(columns, "cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated")
}

const (
	notThere     = "N/A"
	noInfo       = "no_information"
	notSupported = "not_supported"
)

func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// credentialReport writes one line for the root and one for each user.
func (s *Service) credentialReport(tx *store.Tx) ([]byte, error) {
	a, err := s.settings(tx)
	if err != nil {
		return nil, err
	}
	users, err := s.t.users.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rootKey := strconv.FormatBool(s.root.Load() != nil)
	root := []string{"<root_account>", s.arn("root", "", ""), noInfo, notSupported, noInfo, notSupported, notSupported, "false", rootKey, notThere, notThere, notThere, notThere}
	root = append(root, "false", notThere, notThere, notThere, notThere, "false", notThere, "false", notThere)
	if err := errors.Join(w.Write(reportColumns()), w.Write(root)); err != nil {
		return nil, err
	}
	for i := range users {
		line, err := s.reportLine(tx, &users[i], a.Passwords)
		if err != nil {
			return nil, err
		}
		if err := w.Write(line); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), w.Error()
}

func (s *Service) reportLine(tx *store.Tx, u *User, rules *PasswordPolicy) ([]string, error) {
	line := []string{u.Name, s.arn("user", u.Path, u.Name), reportTime(u.Created)}
	l, err := s.t.logins.Get(tx, s.cfg.Account, u.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		line = append(line, "false", notThere, notThere, notThere)
	case err != nil:
		return nil, err
	default:
		next := notThere
		if rules != nil && rules.MaxAge > 0 {
			next = reportTime(rules.rotation(l.Changed))
		}
		line = append(line, "true", noInfo, reportTime(l.Changed), next)
	}
	devices, err := s.devicesOf(tx, u.ID)
	if err != nil {
		return nil, err
	}
	line = append(line, strconv.FormatBool(len(devices) > 0))
	keys, err := s.keysOf(tx, u.Name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b AccessKey) int { return a.Created.Compare(b.Created) })
	for i := range maxKeys {
		if i >= len(keys) {
			line = append(line, "false", notThere, notThere, notThere, notThere)
			continue
		}
		line = append(line, strconv.FormatBool(keys[i].Active), reportTime(keys[i].Created))
		use, err := s.used.keys.Get(tx, keys[i].ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			line = append(line, notThere, notThere, notThere)
		case err != nil:
			return nil, err
		default:
			line = append(line, reportTime(use.At), use.Region, use.Service)
		}
	}
	certs, err := s.signingOf(tx, u.ID)
	for i := range maxSigning {
		if i < len(certs) {
			line = append(line, strconv.FormatBool(certs[i].Active), reportTime(certs[i].Uploaded))
		} else {
			line = append(line, "false", notThere)
		}
	}
	return line, err
}

// GetAccessKeyLastUsed implements iamapi.Service.
func (s *Service) GetAccessKeyLastUsed(ctx context.Context, in *iamapi.GetAccessKeyLastUsedRequest) (*iamapi.GetAccessKeyLastUsedResponse, error) {
	var k AccessKey
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		k, err = s.t.keys.Get(tx, in.AccessKeyId)
		if err == nil && k.Account != s.cfg.Account {
			err = store.ErrNotFound
		}
		caller := wire.CallFrom(ctx).Caller
		return or(err, wire.NewError(403, "AccessDenied", "User: "+caller.ARN+" is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key "+in.AccessKeyId), nil)
	})
	if err != nil {
		return nil, err
	}
	use, err := s.keyUse(ctx, k.ID)
	out := &iamapi.AccessKeyLastUsed{Region: notThere, ServiceName: notThere}
	if !use.At.IsZero() {
		out = &iamapi.AccessKeyLastUsed{Region: use.Region, ServiceName: use.Service, LastUsedDate: &use.At}
	}
	return &iamapi.GetAccessKeyLastUsedResponse{UserName: &k.User, AccessKeyLastUsed: out}, err
}

// roleLastUsed is when a role was last used, within the tracking period.
func (s *Service) roleLastUsed(tx *store.Tx, id string) (*iamapi.RoleLastUsed, error) {
	out := &iamapi.RoleLastUsed{}
	uses, err := s.used.uses.List(tx, store.Query{Prefix: []string{s.cfg.Account, id}})
	oldest := s.cfg.Now().Add(-trackedFor)
	for i := range uses {
		if u := &uses[i]; u.At.After(oldest) && (out.LastUsedDate == nil || u.At.After(*out.LastUsedDate)) {
			out.LastUsedDate, out.Region = &u.At, &u.Region
		}
	}
	return out, err
}
