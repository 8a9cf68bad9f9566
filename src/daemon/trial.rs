//! Follows the file of a trial in the passes of the daemon, and ends a trial that must not go on.

use super::attempt::Attempt;
use super::goal::Goal;
use super::pass::Passes;
use super::tried_file::TriedFile;
use crate::reconcile;
use crate::target::{Conditions, TrialEnd};

impl Passes {
    /// The goal of the trial under way, if there is one that can be followed; else it is ended.
    pub(super) fn trial_goal(
        &mut self,
        conditions: &mut Conditions,
        unknown: Option<&str>,
        warnings: &mut Vec<String>,
    ) -> Option<Goal> {
        let trial = conditions.trial.clone()?;
        if let Some((_, why)) = self.tried.ended.take_if(|(ended, _)| ended.is(&trial)) {
            self.end_trial(conditions, &why, warnings);
            return None;
        }
        let known = self.tried.file.take().filter(|tried| tried.is_of(&trial));
        let found = match (known, unknown) {
            (_, Some(reason)) => Err(reason.to_owned()),
            _ if self.verified.is_none() => Err("it is not known which file was verified last".to_owned()),
            (Some(tried), None) => Ok(tried),
            (None, None) => TriedFile::read(&self.file, &trial),
        };
        match found {
            Ok(tried) => Some(self.tried.file.insert(tried).goal.clone()),
            Err(why) => {
                self.end_trial(conditions, &why, warnings);
                None
            }
        }
    }

    /// Ends the trial after an attempt that shows that it must not go on. Gives whether it goes on.
    pub(super) fn trial_goes_on(
        &mut self,
        attempt: &Attempt,
        conditions: &mut Conditions,
        warnings: &mut Vec<String>,
    ) -> bool {
        let keeps_going = conditions.trial.as_ref().is_some_and(|trial| trial.keep_going);
        let Ok(report) = &attempt.result else { return true };
        let why = if let Some(refusal) = report.last.refusal() {
            format!("a guard refuses it: {refusal}")
        } else {
            let verified = self.verified.as_ref().map(|verified| &*verified.desired);
            let lost = reconcile::lost_services(&attempt.goal.desired, verified, conditions, report);
            let failed = reconcile::failed_server(&attempt.goal.desired, conditions);
            match (lost.first(), failed) {
                _ if keeps_going => return true,
                (Some(service), _) => format!("no usable server was left in {service}"),
                (None, Some(((service, server), failing))) => {
                    format!("{server} of {service} fails since it began: {failing}")
                }
                (None, None) => return true,
            }
        };
        self.end_trial(conditions, &why, warnings);
        false
    }

    fn end_trial(&mut self, conditions: &mut Conditions, why: &str, warnings: &mut Vec<String>) {
        let end = || TrialEnd::RolledBack { why: why.to_owned() };
        if let Some(trial) = &conditions.trial {
            warnings.push(format!("the trial of {trial} is rolled back: {why}"));
            if let Err(error) = self.store.end_trial(trial, end()) {
                warnings
                    .push(format!("{error}; the trial begins again where lbd does, before its time is over"));
                self.tried.ended = Some((trial.clone(), why.to_owned()));
            }
        }
        conditions.end_trial(end());
    }
}
