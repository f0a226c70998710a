package userpool

import (
	"context"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// GetCSVHeader names the columns that a file to import must have.
func (s *Service) GetCSVHeader(ctx context.Context, in *api.GetCSVHeaderRequest) (*api.GetCSVHeaderResponse, error) {
	p, err := s.readPool(ctx, in.UserPoolId)
	if err != nil {
		return nil, exception(err)
	}
	return &api.GetCSVHeaderResponse{UserPoolId: &p.ID, CSVHeader: p.csvHeader()}, nil
}

// CreateUserImportJob makes a job and the address that takes its file.
func (s *Service) CreateUserImportJob(ctx context.Context, in *api.CreateUserImportJobRequest) (*api.CreateUserImportJobResponse, error) {
	tail, err := s.text(10, mixedAlphabet)
	if err != nil {
		return nil, err
	}
	j := ImportJob{
		Pool: in.UserPoolId, ID: "import-" + tail, Name: in.JobName, Role: in.CloudWatchLogsRoleArn,
		CreatedAt: s.time(), Status: string(api.UserImportJobStatusTypeCreated),
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		return s.tables.imports.Insert(tx, j)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeImport(&j)
	return &api.CreateUserImportJobResponse{UserImportJob: out}, err
}

func (s *Service) importHere(ctx context.Context, tx *store.Tx, poolID, id string) (Pool, ImportJob, error) {
	p, err := s.poolHere(ctx, tx, poolID)
	if err != nil {
		return p, ImportJob{}, err
	}
	j, err := s.tables.imports.Get(tx, p.ID, id)
	if err = missing(err, notFound, "The user import job does not exist."); err == nil {
		j.age(s.time())
	}
	return p, j, err
}

// DescribeUserImportJob answers with a job.
func (s *Service) DescribeUserImportJob(ctx context.Context, in *api.DescribeUserImportJobRequest) (*api.DescribeUserImportJobResponse, error) {
	var j ImportJob
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		_, j, err = s.importHere(ctx, tx, in.UserPoolId, in.JobId)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeImport(&j)
	return &api.DescribeUserImportJobResponse{UserImportJob: out}, err
}

// ListUserImportJobs lists a pool's jobs, the latest first.
func (s *Service) ListUserImportJobs(ctx context.Context, in *api.ListUserImportJobsRequest) (*api.ListUserImportJobsResponse, error) {
	scope := []string{"import jobs", in.UserPoolId}
	after, err := s.openPage(in.PaginationToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := limitOf(&in.MaxResults)
	var list []ImportJob
	err = s.view(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		list, err = s.tables.imports.List(tx, store.Query{Index: "created", Values: []string{in.UserPoolId}, After: after, Limit: limit + 1, Reverse: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUserImportJobsResponse{UserImportJobs: []api.UserImportJobType{}}
	list, out.PaginationToken, err = nextPage(s, list, limit, scope, func(j *ImportJob) []string { return []string{sortable(j.CreatedAt), j.Pool, j.ID} })
	for _, j := range list {
		d, failed := s.describeImport(&j)
		if failed != nil {
			return nil, failed
		}
		out.UserImportJobs = append(out.UserImportJobs, *d)
	}
	return out, err
}

// StartUserImportJob lets a job begin; it waits until the one before it is done.
func (s *Service) StartUserImportJob(ctx context.Context, in *api.StartUserImportJobRequest) (*api.StartUserImportJobResponse, error) {
	var j ImportJob
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		var p Pool
		if p, j, err = s.importHere(ctx, tx, in.UserPoolId, in.JobId); err != nil {
			return err
		}
		switch {
		case j.Status != string(api.UserImportJobStatusTypeCreated):
			return refuse(preconditionNotMet, "The user import job cannot be started. Its status is "+j.Status+".")
		case j.Upload == "":
			return refuse(preconditionNotMet, "The user import job cannot be started before its CSV file is uploaded.")
		case len(p.Settings.AutoVerified) == 0:
			return refuse(preconditionNotMet, "The user pool has no auto verified attributes.")
		}
		j.Status, j.StartedAt = string(api.UserImportJobStatusTypePending), s.time()
		return s.tables.imports.Put(tx, j)
	})
	if err != nil {
		return nil, err
	}
	s.wakeImports()
	out, err := s.describeImport(&j)
	return &api.StartUserImportJobResponse{UserImportJob: out}, err
}

// StopUserImportJob ends a job between two lines. Users that it made stay.
func (s *Service) StopUserImportJob(ctx context.Context, in *api.StopUserImportJobRequest) (*api.StopUserImportJobResponse, error) {
	var j ImportJob
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		if _, j, err = s.importHere(ctx, tx, in.UserPoolId, in.JobId); err != nil {
			return err
		}
		if !j.active() {
			return refuse(preconditionNotMet, "The user import job cannot be stopped. Its status is "+j.Status+".")
		}
		j.Status = string(api.UserImportJobStatusTypeStopping)
		return s.tables.imports.Put(tx, j)
	})
	if err != nil {
		return nil, err
	}
	s.wakeImports()
	out, err := s.describeImport(&j)
	return &api.StopUserImportJobResponse{UserImportJob: out}, err
}
