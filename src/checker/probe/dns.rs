//! Probes by a DNS question over UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use compact_str::{CompactString, format_compact};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use super::socket::{connect_udp, failure};
use crate::health::{Endpoint, Outcome};
use crate::model::{Dns, RecordType};

/// The longest answer that is looked at.
const LONGEST: usize = 4096;

/// A check of type `dns`.
#[derive(Debug)]
pub(super) struct DnsCheck {
    source: Option<IpAddr>,
    /// The question, with 0 for its number
    question: Vec<u8>,
    answer: Option<String>,
}

impl DnsCheck {
    /// # Errors
    /// Why there is no such question.
    pub(super) fn new(dns: &Dns, source: Option<IpAddr>) -> Result<Self, CompactString> {
        let name = dns.name.trim_end_matches('.');
        let name = match name {
            "" => Ok(Name::new_with_labels(&[])),
            name => Name::new(name),
        };
        let name = name.map_err(|error| format_compact!("query {}: {error}", dns.name))?;
        let mut packet = Packet::new_query(0);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let record = QTYPE::TYPE(record(dns.record));
        packet.questions.push(Question::new(name, record, QCLASS::CLASS(CLASS::IN), false));
        let question =
            packet.build_bytes_vec().map_err(|error| format_compact!("query {}: {error}", dns.name))?;
        Ok(Self { source, question, answer: dns.answer.as_deref().map(normal) })
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        let number = fastrand::u16(..);
        let mut question = self.question.clone();
        question.splice(..2, number.to_be_bytes());
        let socket = connect_udp(target, self.source).await?;
        socket.send(&question).await.map_err(|error| failure(&error))?;
        let mut bytes = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut bytes).await.map_err(|error| failure(&error))?;
            // What answers another question is late, or forged.
            if let Some(outcome) = self.outcome(number, &question, bytes.get(..length).unwrap_or_default()) {
                return Ok(outcome);
            }
        }
    }

    /// What an answer says; `None`: it answers another question.
    fn outcome(&self, number: u16, question: &[u8], answer: &[u8]) -> Option<Outcome> {
        let failed = |text: CompactString| Some(Outcome::Failed(text));
        if answer.get(..2) != Some(number.to_be_bytes().as_slice()) {
            return None;
        }
        let Ok(answer) = Packet::parse(answer) else { return failed("the answer is not DNS".into()) };
        let question_sent = Packet::parse(question).ok()?;
        let is_same = |(a, b): (&Question<'_>, &Question<'_>)| {
            a.qname == b.qname && a.qtype == b.qtype && a.qclass == b.qclass
        };
        let is_answer = answer.has_flags(PacketFlag::RESPONSE)
            && answer.questions.len() == question_sent.questions.len()
            && answer.questions.iter().zip(&question_sent.questions).all(is_same);
        if !is_answer {
            return None;
        }
        match answer.rcode() {
            RCODE::NoError => {}
            RCODE::ServerFailure => return failed("answer SERVFAIL".into()),
            RCODE::NameError => return failed("answer NXDOMAIN".into()),
            RCODE::Refused => return failed("answer REFUSED".into()),
            other => return failed(format_compact!("answer {other:?}")),
        }
        let Some(expected) = &self.answer else { return Some(Outcome::PASSED) };
        let records: Vec<String> = answer.answers.iter().filter_map(|record| text(&record.rdata)).collect();
        match records.iter().map(|record| normal(record)).any(|record| record == *expected) {
            true => Some(Outcome::PASSED),
            false => match records.first() {
                Some(record) => failed(format_compact!("answer {record}")),
                None => failed("the answer has no such record".into()),
            },
        }
    }
}

fn record(record: RecordType) -> TYPE {
    match record {
        RecordType::A => TYPE::A,
        RecordType::Aaaa => TYPE::AAAA,
        RecordType::Cname => TYPE::CNAME,
        RecordType::Ns => TYPE::NS,
        RecordType::Soa => TYPE::SOA,
        RecordType::Txt => TYPE::TXT,
    }
}

/// What a record says, where it is of a type that a question can be for.
fn text(data: &RData<'_>) -> Option<String> {
    match data {
        RData::A(address) => Some(Ipv4Addr::from(address.address).to_string()),
        RData::AAAA(address) => Some(Ipv6Addr::from(address.address).to_string()),
        RData::CNAME(name) => Some(name.0.to_string()),
        RData::NS(name) => Some(name.0.to_string()),
        RData::SOA(start) => Some(start.mname.to_string()),
        RData::TXT(text) => String::try_from(text.clone()).ok(),
        _ => None,
    }
}

/// An address, a name or a text as it is compared.
fn normal(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a server sends, it passes only by the answer that is expected.
        #[test]
        fn no_answer_of_chance_passes(
            start in 0..12_usize,
            rest in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0..300_usize,
        ) {
            let (name, answer) = ("www.example.com".to_owned(), Some("192.0.2.1".to_owned()));
            let check = DnsCheck::new(&Dns { name, record: RecordType::A, answer }, None).unwrap();
            // Its beginning is that of the question, so that much of it is read.
            let mut answer = check.question.clone();
            answer.truncate(if start == 0 { cut } else { answer.len() });
            if let Some(flags) = answer.get_mut(2) {
                *flags |= 0x80;
            }
            if let Some(count) = answer.get_mut(7) {
                *count = u8::try_from(start).unwrap();
            }
            answer.extend(rest);
            let outcome = check.outcome(0, &check.question, &answer);
            prop_assert_ne!(outcome, Some(Outcome::PASSED));
        }
    }
}
